"""Functions of the component."""
