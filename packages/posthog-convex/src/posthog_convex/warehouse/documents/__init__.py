"""Documents become columns: what kinds of values a table holds, and its rows as Arrow.

Knows neither where documents come from nor where columns go.
"""
