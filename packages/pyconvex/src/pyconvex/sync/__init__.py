"""The WebSocket edge: live queries, mutations and actions for official Convex clients.

Owns the sync protocol: a core without I/O in `protocol`, and the shell that carries it over an ASGI
WebSocket in `session`. Never runs functions; it asks the host. One invariant: everything in a
Transition is true at that Transition's timestamp.
"""

from pyconvex.sync.session import SyncEndpoint

__all__ = ["SyncEndpoint"]
