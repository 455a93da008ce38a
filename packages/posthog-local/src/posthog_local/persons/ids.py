"""Distinct ids and the person uuids made from them.

Owns the list of ids that PostHog refuses to merge, and the deterministic uuid that lets a
personless event and the person who later appears coincide.
"""

from __future__ import annotations

from uuid import UUID, uuid5

# PostHog's own namespace for person uuids; the project of this server is always number 1.
_PERSON_NAMESPACE = UUID("932979b4-65c3-4424-8467-0b66ec27bc22")
PROJECT_ID = 1

_ILLEGAL_ANY_CASE = frozenset(
    [
        "anonymous",
        "guest",
        "distinctid",
        "distinct_id",
        "id",
        "not_authenticated",
        "email",
        "undefined",
        "true",
        "false",
    ]
)
_ILLEGAL_EXACT = frozenset(["[object Object]", "NaN", "None", "none", "null", "0", "undefined"])


def person_uuid(distinct_id: str) -> str:
    """The uuid of the person whose first distinct id this is.

    >>> person_uuid("user-1")
    '6931a681-6e90-500d-8294-14582dcc2e3f'
    """
    return str(uuid5(_PERSON_NAMESPACE, f"{PROJECT_ID}:{distinct_id}"))


def is_illegal(distinct_id: str) -> bool:
    """Whether the id is one that broken callers send for everybody: never to be merged.

    >>> is_illegal("Guest"), is_illegal("'null'"), is_illegal("NULL"), is_illegal("u1")
    (True, True, False, False)
    """
    text = distinct_id
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return not text.strip() or text.lower() in _ILLEGAL_ANY_CASE or text in _ILLEGAL_EXACT
