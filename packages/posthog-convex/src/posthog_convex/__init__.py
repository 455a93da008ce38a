"""PostHog for Python functions on pyconvex."""

__version__ = "0.1.0"
