"""A component for the tests: a package, as its author would publish it."""

from pyconvex import define_component, v

inner = define_component(
    "inner", functions="sample_component.inner_functions", env={"WORD": v.string()}
)
mail = define_component(
    "mail",
    functions="sample_component.functions",
    env={"TOKEN": v.string(), "HOST": v.optional(v.string())},
)
mail.use(inner, env={"WORD": mail.env.TOKEN})
mail.use(inner, name="fixed", env={"WORD": "fixed"})
mail.queue("outbox")
mail.lane("sample_component.lanes:MailLane")

leaf = define_component("within", functions="sample_component.web_functions")
web = define_component("web", functions="sample_component.web_functions")
web.use(leaf, http_prefix="/deep/er/")
