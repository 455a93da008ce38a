"""The composition root: a whole deployment as one object."""

from pyconvex.server.listening import PortTakenError
from pyconvex.server.server import Server
from pyconvex.server.settings import DEFAULT_PORT, Settings

__all__ = ["DEFAULT_PORT", "PortTakenError", "Server", "Settings"]
