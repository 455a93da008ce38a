"""The app whose calls `benchmarks.cost` counts."""

from benchmarks.cost_component import counters

from pyconvex import define_app

app = define_app()
app.use(counters)
