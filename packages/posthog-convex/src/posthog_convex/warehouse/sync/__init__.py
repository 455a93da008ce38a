"""One sync: its configuration, the loop that carries pages, and how it stands."""
