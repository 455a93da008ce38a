"""People who sign up at this deployment itself: accounts, sessions and the tokens that prove them.

Owns the functions and tables that an app gets with `password_auth`, spoken to by the official
`@convex-dev/auth` clients. Never verifies a token: for the server this is an issuer like others.
One invariant: no password, and nothing that gets a caller in, is ever stored as it is.
"""

from pyconvex.accounts.password_auth import password_auth
from pyconvex.accounts.people import get_auth_session_id, get_auth_user_id
from pyconvex.accounts.tables import auth_tables

__all__ = ["auth_tables", "get_auth_session_id", "get_auth_user_id", "password_auth"]
