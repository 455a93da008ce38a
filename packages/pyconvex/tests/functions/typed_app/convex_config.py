from pyconvex import define_app, define_component, v

mail = define_component("mail", functions="shop_mail.functions", env={"TOKEN": v.string()})
outbox: str = mail.queue("outbox")

app = define_app(env={"TOKEN": v.string(), "HOST": v.optional(v.string())})
app.use(mail, env=app.env)
app.use(mail, name="second", env={"TOKEN": app.env.TOKEN})
