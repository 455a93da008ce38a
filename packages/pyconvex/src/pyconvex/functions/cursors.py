"""Cursors: places in a query's results, as opaque text.

Owns their sealing and opening, and the fingerprint that binds each to its query. Never reads
anything. One invariant: `unseal` gives a position only for text that `seal` made with the same
secret for the same fingerprint; every other text is an `InvalidCursor`.

The same position always gives the same cursor, so that equal results stay equal. It is encrypted,
because a key holds fields of a document that the function may have kept from its caller.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from pyconvex.database import Bounds
from pyconvex.functions.errors import ConvexError
from pyconvex.values import order

#: Bytes of the tag in front of each cursor; forging one takes 2**128 tries.
TAG_BYTES = 16


class InvalidCursor(ConvexError):
    """A cursor that this query did not give; official clients start again from the first page."""

    def __init__(self) -> None:
        super().__init__({"isConvexSystemError": True, "paginationError": "InvalidCursor"})
        self.args = (
            "Tried to run a query starting from a cursor, but it looks like this cursor is from a "
            "different query. Start again from the first page.",
        )


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two documents of a query, or its end."""

    #: The place is behind this key; None for the end.
    key: bytes | None

    @property
    def is_end(self) -> bool:
        """True for the end of the query, behind all that may ever come."""
        return self.key is None


END = Position(None)


def fingerprint(
    table: str, index: str, fields: Sequence[str], bounds: Bounds, *, descending: bool
) -> bytes:
    """What tells one query from another: its index with the fields, its range and its order."""
    parts: list[object] = [table, index, *fields, None, descending]
    for field, value in sorted(bounds.equal, key=lambda pair: pair[0]):
        parts += ["eq", field, value]
    for side, bound in (("lower", bounds.lower), ("upper", bounds.upper)):
        if bound is not None:
            parts += [side, bound.field, bound.value, bound.inclusive]
    return hashlib.blake2b(order.encode_key(parts), digest_size=32).digest()


def seal(secret: bytes, query: bytes, position: Position) -> str:
    """The cursor of a position in the query with this fingerprint."""
    plain = b"" if position.key is None else b"\x01" + position.key
    tag = hashlib.blake2b(
        query + plain, key=secret, digest_size=TAG_BYTES, person=b"cursor"
    ).digest()
    return base64.urlsafe_b64encode(tag + _mask(secret, tag, plain)).rstrip(b"=").decode()


def unseal(secret: bytes, query: bytes, cursor: str) -> Position:
    """The position of a cursor. Raises `InvalidCursor`."""
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidCursor from None
    tag, masked = packed[:TAG_BYTES], packed[TAG_BYTES:]
    plain = _mask(secret, tag, masked)
    position = Position(plain[1:]) if plain else END
    if not hmac.compare_digest(seal(secret, query, position).encode(), cursor.encode()):
        raise InvalidCursor
    return position


def _mask(secret: bytes, tag: bytes, text: bytes) -> bytes:
    """`text` under a stream that belongs to this tag alone; a second time takes it off again."""
    key = hashlib.blake2b(tag, key=secret, digest_size=32, person=b"cursor mask").digest()
    stream = hashlib.shake_256(key).digest(len(text))
    return (int.from_bytes(text) ^ int.from_bytes(stream)).to_bytes(len(text))
