"""The store: one SQLite file, one writer that commits in groups, readers beside it."""
