"""Who is signed in: links that work once, and the sessions that they open.

Owns both, in memory, so they end with the server. Never sees an admin key or a cookie header. One
invariant: a link opens one session at most, and neither outlives its time nor its number's bound.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

import msgspec

#: How long a link waits for somebody to open it, in seconds.
LINK_LIFE_S = 600.0
#: A working day; after that the key or a new link is asked for again.
SESSION_LIFE_S = 12 * 3600.0
#: What waits and who is signed in at once; beyond, the oldest go.
MAX_LINKS = 32
MAX_SESSIONS = 64
#: Bytes of randomness in a token.
_TOKEN_BYTES = 32


class Session(msgspec.Struct, frozen=True):
    """Somebody who is signed in. Forms carry `form_token`, which other sites can't know."""

    form_token: str
    ends_s: float


class Sessions:
    """The links and sessions of one deployment.

    >>> sessions = Sessions()
    >>> link = sessions.new_link()
    >>> cookie = sessions.redeem(link)
    >>> sessions.find(cookie) is not None, sessions.redeem(link)
    (True, None)
    """

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(_TOKEN_BYTES),
    ) -> None:
        self._now_s = now_s
        self._new_token = new_token
        # By digest: how long a look-up takes then tells nothing of the tokens that are there.
        self._links: dict[bytes, float] = {}
        self._sessions: dict[bytes, Session] = {}

    def new_link(self) -> str:
        """A token that `redeem` takes once, within `LINK_LIFE_S`."""
        self._forget()
        token = self._new_token()
        self._links[_digest(token)] = self._now_s() + LINK_LIFE_S
        _drop_oldest(self._links, MAX_LINKS)
        return token

    def is_link(self, token: str) -> bool:
        """Whether `redeem` would take this token; looking uses nothing up."""
        self._forget()
        return _digest(token) in self._links

    def redeem(self, token: str) -> str | None:
        """Open a session for the holder of a link: its cookie's value, None for no link's token."""
        if not self.is_link(token):
            return None
        del self._links[_digest(token)]
        return self.open()

    def open(self) -> str:
        """Open a session for somebody who has shown the admin key: its cookie's value."""
        self._forget()
        token = self._new_token()
        ends_s = self._now_s() + SESSION_LIFE_S
        self._sessions[_digest(token)] = Session(self._new_token(), ends_s)
        _drop_oldest(self._sessions, MAX_SESSIONS)
        return token

    def find(self, token: str) -> Session | None:
        """The session with this cookie, while it lasts."""
        self._forget()
        return self._sessions.get(_digest(token))

    def close(self, token: str) -> None:
        """End the session with this cookie."""
        self._sessions.pop(_digest(token), None)

    def _forget(self) -> None:
        now_s = self._now_s()
        self._links = {key: ends_s for key, ends_s in self._links.items() if ends_s > now_s}
        self._sessions = {key: one for key, one in self._sessions.items() if one.ends_s > now_s}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _drop_oldest(kept: dict[bytes, float] | dict[bytes, Session], limit: int) -> None:
    while len(kept) > limit:
        del kept[next(iter(kept))]
