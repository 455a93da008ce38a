from pyconvex import define_app

app = define_app()
