"""The deployment's dashboard: pages for whoever runs it, below `/dashboard`.

Owns sign-in, the pages and their look. Never calls a function of the app and changes nothing by
itself: what a page does goes through what the server hands in. One invariant: but for signing in
and the style, nothing is shown to somebody without a session.
"""

from pyconvex.dashboard.app import Dashboard
from pyconvex.dashboard.sessions import LINK_LIFE_S, Sessions
from pyconvex.dashboard.signin import sign_in_url

__all__ = ["LINK_LIFE_S", "Dashboard", "Sessions", "sign_in_url"]
