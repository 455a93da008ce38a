"""The modules of the inner component."""
