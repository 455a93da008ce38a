"""Distinct ids as they arrive: as text, and those that say nothing.

Owns the list of ids that PostHog refuses to merge.
"""

from __future__ import annotations

import msgspec

MAX_DISTINCT_ID_CHARACTERS = 200
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


def text_id(value: object) -> str:
    """A distinct id as text: other JSON is written as JSON; null and empty give an empty string.

    >>> text_id(12), text_id({"a": 1}), text_id(None)
    ('12', '{"a":1}', '')
    """
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:MAX_DISTINCT_ID_CHARACTERS].replace("\0", "\ufffd")


def is_illegal(distinct_id: str) -> bool:
    """Whether the id is one that broken callers send for everybody: never to be merged.

    >>> is_illegal("Guest"), is_illegal("'null'"), is_illegal("NULL"), is_illegal("u1")
    (True, True, False, False)
    """
    text = distinct_id
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return not text.strip() or text.lower() in _ILLEGAL_ANY_CASE or text in _ILLEGAL_EXACT
