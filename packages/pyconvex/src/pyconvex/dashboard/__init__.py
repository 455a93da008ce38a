"""The deployment's dashboard: pages for whoever runs it, below `/dashboard`.

Owns sign-in, the pages and their look. Changes nothing by itself: what a page does, running a
function of the app included, goes through what the server hands in. One invariant: but for signing
in and the style, nothing is shown to somebody without a session.
"""

from pyconvex.dashboard.app import Dashboard
from pyconvex.dashboard.sessions import LINK_LIFE_S, Sessions
from pyconvex.dashboard.signin import sign_in_url

__all__ = ["LINK_LIFE_S", "Dashboard", "Sessions", "sign_in_url"]
