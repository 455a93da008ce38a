"""The app that the server benchmarks run on our host."""

from pyconvex import define_app

app = define_app()
