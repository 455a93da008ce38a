"""Isolates: the processes that run an app, and the pool of them that the server holds."""
