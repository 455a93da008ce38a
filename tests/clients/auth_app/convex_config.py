from pyconvex import define_app, v

app = define_app(env={"DOMAIN": v.optional(v.string())})
