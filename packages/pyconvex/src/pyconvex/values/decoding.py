"""Values from tagged JSON.

Owns the strict reading of what clients send and the disk keeps. Never guesses: what the encoding
doesn't define is refused. One invariant: what comes out has canonical Python forms only and keeps
every limit on names, counts, depth and size.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import msgspec

from pyconvex.values.encoding import FLOAT64_LAYOUT, INT64_LAYOUT, base64
from pyconvex.values.errors import InvalidValue, MalformedJson
from pyconvex.values.limits import (
    MAX_ARRAY_LENGTH,
    MAX_FIELD_NAME_LENGTH,
    MAX_NESTING,
    MAX_OBJECT_FIELDS,
)
from pyconvex.values.names import check_field_names
from pyconvex.values.sizes import check_container, check_size
from pyconvex.values.types import COMMIT_TS, Int64, PendingCommitTs, Value

#: What each tag's content stands for.
_Tags: TypeAlias = dict[str, Callable[[object], object]]


def decode(text: bytes | str) -> Value:
    """The value that tagged JSON stands for; every plain number becomes a float.

    The last of duplicate keys counts. Raises `MalformedJson` for text that is no JSON (half
    surrogate pairs included) and for bad tags, and `InvalidValue`, its base, for reserved or
    non-ASCII field names and broken limits.

    >>> decode('{"n": 1, "i": {"$integer": "BwAAAAAAAAA="}}')
    {'n': 1.0, 'i': Int64(7)}
    """
    raw = text if isinstance(text, bytes) else _utf8(text)
    return _decode(raw, _TAGS)


def decode_pending(doc: bytes) -> Value:
    """As `decode`, for a document that may hold `COMMIT_TS`."""
    return _decode(doc, _PENDING_TAGS)


def _decode(raw: bytes, tags: _Tags) -> Value:
    value, is_shallow = _parse(raw)
    if not is_shallow or _may_hide_something(raw):
        value = _settle(value, 1, tags)
        check_size(value, len(raw))
    return cast(Value, value)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MalformedJson("Invalid JSON: half of a surrogate pair") from None


#: Levels of arrays and objects that the typed parser knows: its size doubles with each.
_SHALLOW = 7


def _numbers_are_floats(depth: int) -> Any:
    """The type of values of at most `depth` levels, for which msgspec makes ints floats in C."""
    scalar = float | str | bool | None
    value: Any = scalar
    for _ in range(depth):
        value = scalar | list[value] | dict[str, value]
    return value


_parse_shallow = msgspec.json.Decoder(_numbers_are_floats(_SHALLOW)).decode
_parse_any_depth = msgspec.json.Decoder().decode


def _parse(raw: bytes) -> tuple[Any, bool]:
    """What the text says, and whether the typed parser could read it, so that no ints are left."""
    try:
        try:
            return _parse_shallow(raw), True
        except msgspec.ValidationError:
            return _parse_any_depth(raw), False
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"Invalid JSON: {error}") from None
    except RecursionError:
        raise MalformedJson(f"Value is too nested (maximum nesting {MAX_NESTING})") from None


def _may_hide_something(raw: bytes) -> bool:
    """False only if a text that the typed parser read holds no tag, bad name or broken limit.

    That is sure for short text without escapes, because names then stand as they are written.
    """
    return (
        len(raw) > MAX_FIELD_NAME_LENGTH
        or not raw.isascii()
        or b'"$' in raw
        or b"\\" in raw
        or b"\x7f" in raw
    )


#: Types that `_settle` may replace or must look into.
_UNSETTLED = frozenset((dict, list, int))


def _settle(value: Any, depth: int, tags: _Tags) -> Any:
    """Check a parsed value and put what they stand for in place of tags and ints."""
    kind = type(value)
    if kind is dict:
        return _settle_object(value, depth, tags)
    if kind is list:
        return _settle_array(value, depth, tags)
    return _settle_int(value) if kind is int else value


def _settle_int(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise MalformedJson("Invalid JSON: Number out of range") from None


def _settle_object(fields: dict[str, Any], depth: int, tags: _Tags) -> Any:
    if len(fields) == 1:
        ((name, content),) = fields.items()
        untag = tags.get(name)
        if untag is not None:
            return untag(content)
    check_field_names(fields)
    if len(fields) > MAX_OBJECT_FIELDS or depth > MAX_NESTING:
        check_container(fields, depth)
    name = ""
    try:
        for name, value in fields.items():
            if type(value) in _UNSETTLED:
                fields[name] = _settle(value, depth + 1, tags)
    except InvalidValue as error:
        error.inside(f".{name}")
        raise
    return fields


def _settle_array(items: list[Any], depth: int, tags: _Tags) -> list[Any]:
    if len(items) > MAX_ARRAY_LENGTH or depth > MAX_NESTING:
        check_container(items, depth)
    if _UNSETTLED.isdisjoint(map(type, items)):
        return items
    index = 0
    try:
        for index, item in enumerate(items):
            items[index] = _settle(item, depth + 1, tags)
    except InvalidValue as error:
        error.inside(f"[{index}]")
        raise
    return items


def _untag_integer(content: object) -> Int64:
    return Int64(INT64_LAYOUT.unpack(_eight_bytes(content, "$integer", "Int64"))[0])


def _untag_float(content: object) -> float:
    number: float = FLOAT64_LAYOUT.unpack(_eight_bytes(content, "$float", "Float64"))[0]
    if number and number - number == 0:
        raise MalformedJson(f"Float64 {number!r} should be encoded as a number")
    return number


def _untag_bytes(content: object) -> bytes:
    return _unbase64(content, "$bytes")


def _eight_bytes(content: object, tag: str, type_name: str) -> bytes:
    raw = _unbase64(content, tag)
    if len(raw) != 8:
        raise MalformedJson(f"{type_name} must be exactly eight bytes")
    return raw


def _unbase64(content: object, tag: str) -> bytes:
    if not isinstance(content, str):
        raise MalformedJson(f"Malformed {tag} field: not a string")
    try:
        raw = binascii.a2b_base64(content, strict_mode=True)
    except ValueError:
        raise MalformedJson(f"Malformed {tag} field: not base 64") from None
    # Even strict mode lets spare bits pass that are set.
    if base64(raw) != content:
        raise MalformedJson(f"Malformed {tag} field: not base 64")
    return raw


def _untag_commit_ts(content: object) -> PendingCommitTs:
    if content is not None:
        raise MalformedJson("Malformed $commitTs field: not null")
    return COMMIT_TS


_TAGS: Final[_Tags] = {
    "$integer": _untag_integer,
    "$float": _untag_float,
    "$bytes": _untag_bytes,
}
_PENDING_TAGS: Final[_Tags] = {**_TAGS, "$commitTs": _untag_commit_ts}
