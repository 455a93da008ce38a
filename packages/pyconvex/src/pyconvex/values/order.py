"""Convex's order over all values, as bytes that compare alike.

Owns the encoding of index keys. Never decodes them: what an index points at is read from the
document. One invariant: for any two sequences of values, comparing their keys as bytes gives
Convex's order, and a key begins with the key of another sequence exactly when that sequence is its
beginning. So an index prefix is a byte prefix, and no value's key is a beginning of another's.

undefined < null < Int64 < Float64 < Boolean < String < Bytes < Array < Object. A commit timestamp
that is not known yet comes right behind Int64. Numbers of the two types never compare equal. Floats
follow IEEE's total order: -NaN < -Inf < … < -0 < 0 < … < NaN.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pyconvex.values.encoding import HALF_SURROGATE, not_convex, number
from pyconvex.values.errors import InvalidValue
from pyconvex.values.types import COMMIT_TS, UNSET, Int64, PendingCommitTs

# The first byte of each value. The numbers are the backend's own; the payloads below are not: its
# strings are no prefix-free code ("a" is a beginning of "a\0").
_UNDEFINED = b"\x01"
_NULL = b"\x03"
_INT64 = 0x08
_COMMIT_TS = 0x09  # as long as an Int64, so that one can take its place
_FLOAT64 = 0x0D
_FALSE = b"\x0e"
_TRUE = b"\x0f"
_STRING = b"\x10"
_BYTES = b"\x11"
_ARRAY = b"\x12"
_OBJECT = b"\x15"

_END = b"\x00"
_FIELD = b"\x01"

_pack_double = struct.Struct(">d").pack
_unpack_bits = struct.Struct(">Q").unpack
_pack_tagged = struct.Struct(">BQ").pack
_TAGGED_BYTES = 9
_SIGN = 1 << 63
_ALL_BITS = (1 << 64) - 1


def encode_key(values: Iterable[object]) -> bytes:
    """The key of a sequence of values, or of `UNSET` where a field is missing.

    Python ints stand for numbers, as in `codec.encode`. Raises `InvalidValue` for anything that is
    no Convex value.

    >>> encode_key(["b", 1.0]) < encode_key(["b", 2.0]) < encode_key(["ba"])
    True
    >>> encode_key(["b", 1.0]).startswith(encode_key(["b"]))
    True
    """
    return b"".join([_encode(value) for value in values])


def pending_places(values: Sequence[object]) -> list[int]:
    """Where in the key of `values` commit timestamps are to be put, by `settle_key`.

    >>> from pyconvex.values import COMMIT_TS
    >>> pending_places(["a", COMMIT_TS])
    [3]
    """
    key = encode_key(values)
    other = encode_key([_without_pending(value) for value in values])
    places: list[int] = []
    at = 0
    while at < len(key):
        if key[at] != other[at]:
            places.append(at)
            at += _TAGGED_BYTES
        else:
            at += 1
    return places


def settle_key(key: bytes, places: Iterable[int], commit_ts: int) -> bytes:
    """The key with the commit's timestamp, an Int64, at each of `places`."""
    settled = bytearray(key)
    for place in places:
        settled[place : place + _TAGGED_BYTES] = _int64(commit_ts)
    return bytes(settled)


def _without_pending(value: object) -> object:
    if value is COMMIT_TS:
        return Int64(0)
    if isinstance(value, (list, tuple)):
        return [_without_pending(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_pending(item) for name, item in value.items()}
    return value


def successor(prefix: bytes) -> bytes | None:
    """The first key after every key that starts with `prefix`; None when nothing comes after.

    >>> successor(b"a"), successor(b"a\\xff"), successor(b"")
    (b'b', b'b', None)
    """
    kept = prefix.rstrip(b"\xff")
    if not kept:
        return None
    return kept[:-1] + bytes((kept[-1] + 1,))


def _encode(value: object) -> bytes:
    encode = _BY_TYPE.get(type(value))
    if encode is not None:
        return encode(value)
    for base, encode in _BY_BASE:
        if isinstance(value, base):
            return encode(value)
    raise not_convex(value)


def _string(value: str) -> bytes:
    try:
        return _STRING + _escape(value.encode())
    except UnicodeEncodeError:
        raise InvalidValue(HALF_SURROGATE) from None


def _escape(raw: bytes) -> bytes:
    # The end mark 00 must sort before every byte and never stand inside: 00 and 01 become pairs.
    if b"\x01" in raw:
        raw = raw.replace(b"\x01", b"\x01\x02")
    if b"\x00" in raw:
        raw = raw.replace(b"\x00", b"\x01\x01")
    return raw + _END


def _float(value: float) -> bytes:
    (bits,) = _unpack_bits(_pack_double(value))
    return _pack_tagged(_FLOAT64, bits ^ _ALL_BITS if bits & _SIGN else bits ^ _SIGN)


def _number(value: int) -> bytes:
    return _float(number(value))


def _int64(value: int) -> bytes:
    return _pack_tagged(_INT64, value + _SIGN)


def _bytes(value: bytes) -> bytes:
    return _BYTES + _escape(bytes(value))


def _array(items: Sequence[object]) -> bytes:
    return b"".join([_ARRAY, *[_encode(item) for item in items], _END])


def _object(fields: Mapping[str, object]) -> bytes:
    parts = [_OBJECT]
    for name in sorted(fields):
        if fields[name] is not UNSET:
            parts += (_FIELD, _escape(name.encode()), _encode(fields[name]))
    parts.append(_END)
    return b"".join(parts)


_BY_TYPE: dict[type, Callable[[Any], bytes]] = {
    str: _string,
    float: _float,
    type(None): lambda _: _NULL,
    type(UNSET): lambda _: _UNDEFINED,
    bool: lambda value: _TRUE if value else _FALSE,
    Int64: _int64,
    PendingCommitTs: lambda _: _pack_tagged(_COMMIT_TS, 0),
    int: _number,
    bytes: _bytes,
    list: _array,
    dict: _object,
}

_BY_BASE: tuple[tuple[type | tuple[type, ...], Callable[[Any], bytes]], ...] = (
    (str, _string),
    (Int64, _int64),
    (int, _number),
    (float, _float),
    ((bytes, bytearray, memoryview), _bytes),
    ((list, tuple), _array),
    (dict, _object),
)
