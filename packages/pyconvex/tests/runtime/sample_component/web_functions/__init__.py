"""Functions of a component that answers HTTP requests."""
