"""The session of the caller's analytics, as a client names it.

Owns what passes for an id. Never believes it: it says which recording something belongs to, and
nothing about who calls. One invariant: an id is short and printable, so it can stand in any log.
"""

from __future__ import annotations

import re

_ID = re.compile(r"[\x21-\x7e]{1,200}")


def is_session_id(text: object) -> bool:
    """Whether this can name a session."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def session_id_in(header: str | None) -> str:
    """The id that a header's value is; "" for none, and for what can't be one.

    >>> session_id_in("0199-af3c "), session_id_in("two words"), session_id_in(None)
    ('0199-af3c', '', '')
    """
    text = (header or "").strip()
    return text if is_session_id(text) else ""
