from pyconvex import define_app, v

app = define_app(env={"NAME": v.optional(v.string())})
