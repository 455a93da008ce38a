"""What kinds of values a table's documents hold, read off their JSON text.

Owns the slow look at documents that did not fit. Never decodes for a destination: it only widens a
schema, with which the fast decoder then reads the same documents. Invariant: after learning from
documents, the widened schema fits every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from posthog_convex.warehouse.documents.columns import EXACT_IN_FLOAT, Column, Kind, Schema
from posthog_convex.warehouse.refusal import corrupt

_DOCUMENT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TAGGED = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INT64 = 2**63
SYSTEM_FIELDS = frozenset({"_id", "_creationTime"})


def learned(schema: Schema, documents: Iterable[bytes | msgspec.Raw]) -> Schema:
    """`schema`, widened until it fits the documents.

    >>> learned(Schema(), [b'{"n": 1}', b'{"n": 1.5}']).columns[0].kind
    <Kind.FLOAT: 'float64'>
    """
    seen: dict[str, Column] = {}
    try:
        for document in documents:
            for field, raw in _DOCUMENT.decode(document).items():
                if field in SYSTEM_FIELDS:
                    continue
                found = _seen(field, bytes(raw))
                known = seen.get(field)
                seen[field] = found if known is None else known.widened(found)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise corrupt(f"a document is no JSON object: {error}") from None
    return schema.widened(seen.values())


def _seen(field: str, text: bytes) -> Column:
    match text[:1]:
        case b'"':
            return Column(field=field, name="", kind=Kind.TEXT)
        case b"t" | b"f":
            return Column(field=field, name="", kind=Kind.BOOL)
        case b"n":
            return Column(field=field, name="", kind=Kind.VOID, nulls=True)
        case b"[":
            return Column(field=field, name="", kind=Kind.JSON)
        case b"{":
            return _object(field, text)
        case _:
            return _number(field, text)


def _object(field: str, text: bytes) -> Column:
    tags = _TAGGED.decode(text)
    if tags.keys() == {"$bytes"}:
        return Column(field=field, name="", kind=Kind.BYTES)
    if tags.keys() == {"$float"}:
        return Column(field=field, name="", kind=Kind.FLOAT, special=True)
    return Column(field=field, name="", kind=Kind.JSON)


def _number(field: str, text: bytes) -> Column:
    if any(mark in text for mark in b".eE"):
        return Column(field=field, name="", kind=Kind.FLOAT)
    value = int(text)
    if not -_INT64 <= value < _INT64:
        raise corrupt(f"{value} in the field {field!r} is no int64")
    return Column(field=field, name="", kind=Kind.INT, wide=abs(value) > EXACT_IN_FLOAT)
