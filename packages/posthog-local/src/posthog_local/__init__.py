"""A PostHog-compatible server in one process, for development and CI.

Owns everything that runs behind `posthog-local start`. Imports neither the function host nor the
component, so that it stays an honest, independent receiver: what it shows is what was on the wire.
It is not PostHog, and it is not for production.
"""

__version__ = "0.1.0"
