"""Where rows go: a DuckDB file, and what is published from one as Parquet files or Delta tables.

Never decides what is done: plans come from `plan`.
"""
