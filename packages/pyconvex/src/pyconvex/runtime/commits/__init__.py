"""The way of everything that is committed: in turn, in groups, through one queue."""
