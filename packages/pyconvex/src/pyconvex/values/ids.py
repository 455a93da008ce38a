"""Document ids: what they hold and how they are written.

Owns the text form, Convex's own: base 32 of table number, 16 bytes and a checksum. Never knows
tables or documents: numbers get their names elsewhere. One invariant: an id has exactly one text,
and a text that `decode_id` accepts is that text.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from pyconvex.values.errors import InvalidId

#: Bytes that tell a document from all others of its table.
INTERNAL_BYTES: Final = 16
_CHECKSUM_BYTES = 2
_MAX_TABLE_NUMBER = 2**32 - 1

# Crockford's digits in lower case, and the digits that Python's int() takes for base 32.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PYTHON_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_TO_PYTHON = bytes(
    ord(_PYTHON_DIGITS[_ALPHABET.index(chr(code))]) if chr(code) in _ALPHABET else ord("!")
    for code in range(256)
)
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class RandomBytes(Protocol):
    """Where new ids come from: a `random.Random`, or what draws like one."""

    def randbytes(self, size: int, /) -> bytes:
        """So many random bytes."""


class DocumentId(NamedTuple):
    """An id taken apart."""

    table_number: int
    internal: bytes


def encode_id(table_number: int, internal: bytes) -> str:
    """The text of a document's id.

    >>> encode_id(10001, bytes(range(16)))
    'j57000820c20a1g7104gm2rc1m70ynr8'
    """
    if not 1 <= table_number <= _MAX_TABLE_NUMBER:
        raise InvalidId(f"Table number {table_number} is not between 1 and {_MAX_TABLE_NUMBER}")
    if len(internal) != INTERNAL_BYTES:
        raise InvalidId(f"Internal id has {len(internal)} bytes, not {INTERNAL_BYTES}")
    body = _vint(table_number) + internal
    return _base32(body + _checksum(body))


@lru_cache(maxsize=4096)
def decode_id(text: str) -> DocumentId:
    """Take an id apart; raises `InvalidId` for anything that is not the one text of an id.

    >>> decode_id("j57000820c20a1g7104gm2rc1m70ynr8").table_number
    10001
    >>> decode_id("j57000820c20a1g7104gm2rc1m70ynr9")
    Traceback (most recent call last):
    ...
    pyconvex.values.errors.InvalidId: Unable to decode ID: Invalid ID version ...
    """
    raw = _unbase32(text)
    table_number, start = _unvint(raw)
    end = len(raw) - _CHECKSUM_BYTES
    if end - start != INTERNAL_BYTES:
        raise _bad_length(text)
    expected = _checksum(raw[:end])
    if raw[end:] != expected:
        found, wanted = (int.from_bytes(pair, "little") for pair in (raw[end:], expected))
        raise InvalidId(f"Unable to decode ID: Invalid ID version {found} (expected {wanted})")
    return DocumentId(table_number, raw[start:end])


def new_internal(random: RandomBytes, day: int) -> bytes:
    """16 new bytes for a document made on `day`, counted in days since 1970.

    The day stands last, as in Convex; two calls collide as seldom as 112 random bits do.
    """
    return random.randbytes(INTERNAL_BYTES - 2) + (day & 0xFFFF).to_bytes(2, "big")


def _vint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _unvint(raw: bytes) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(raw[:5]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            # A last byte of zero would be a second way to write a shorter number.
            if number == 0 or number > _MAX_TABLE_NUMBER or (index and byte == 0):
                break
            return number, index + 1
    raise InvalidId("Unable to decode ID: Invalid table number")


def _checksum(body: bytes) -> bytes:
    """Fletcher-16 modulo 256, low byte first."""
    return bytes((sum(body) & 0xFF, sum(accumulate(body)) & 0xFF))


def _base32(raw: bytes) -> str:
    digits = -(-len(raw) * 8 // 5)
    # Two digits at a time; an odd number of digits gets one more and loses it again.
    even = digits + (digits & 1)
    number = int.from_bytes(raw, "big") << (even * 5 - len(raw) * 8)
    pairs = [_PAIRS[number >> shift & 1023] for shift in range(even * 5 - 10, -1, -10)]
    return "".join(pairs)[:digits]


def _unbase32(text: str) -> bytes:
    if not 31 <= len(text) <= 37:
        raise _bad_length(text)
    size, padding = divmod(len(text) * 5, 8)
    try:
        number = int(text.encode("ascii").translate(_TO_PYTHON), 32)
    except ValueError:
        raise InvalidId("Unable to decode ID: ID wasn't valid base32") from None
    # A whole spare digit, or spare bits that are set, would be a second text for the same id.
    if padding >= 5 or number & ((1 << padding) - 1):
        raise _bad_length(text)
    return (number >> padding).to_bytes(size, "big")


def _bad_length(text: str) -> InvalidId:
    return InvalidId(f"Unable to decode ID: Invalid ID length {len(text)}")
