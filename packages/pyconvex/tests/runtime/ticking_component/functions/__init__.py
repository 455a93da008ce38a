"""Its functions."""
