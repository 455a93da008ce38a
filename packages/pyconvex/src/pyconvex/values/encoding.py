"""Values to JSON.

Owns the walk that finds what msgspec would write differently, and the three output formats. Never
sorts or escapes itself: msgspec does. One invariant: a value is copied only where it must change,
and the caller's objects are never touched.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec

from pyconvex.values.errors import InvalidValue, UnknownFormat
from pyconvex.values.limits import (
    MAX_ARRAY_LENGTH,
    MAX_NESTING,
    MAX_OBJECT_FIELDS,
    MAX_SAFE_INTEGER,
)
from pyconvex.values.names import check_field_names
from pyconvex.values.sizes import check_container, check_size
from pyconvex.values.types import COMMIT_TS, UNSET, Int64


def encode(value: object) -> bytes:
    """A value as tagged JSON: keys sorted, floats as `1.0`, UTF-8 unescaped.

    Takes the canonical forms and what stands for them: ints within ±(2**53 - 1) as numbers, tuples
    as arrays, bytearrays as bytes, subclasses as what they extend; fields that are `UNSET` are left
    out. Raises `InvalidValue`, naming path and type, for everything else and beyond the limits.

    >>> encode({"b": 1, "a": [True, None, "ä"]}).decode()
    '{"a":[true,null,"ä"],"b":1.0}'
    """
    return _encode(value, _TAGGED)


def encode_as(value: object, format: str) -> bytes:
    """A value in one of the output formats that HTTP clients ask for.

    `convex_encoded_json` is `encode`; `json` is readable and lossy; `export_json` writes Int64 as a
    bare integer and tags only what JSON has no word for. Raises `UnknownFormat` for other names.

    >>> from pyconvex.values import Int64
    >>> encode_as([Int64(3), 3.0, b"hi"], "json")
    b'["3",3.0,"aGk="]'
    """
    leaves = _FORMATS.get(format)
    if leaves is None:
        raise UnknownFormat(f"format param must be one of [`json`]. Got {format}")
    return _encode(value, leaves)


def encode_pending(value: object) -> bytes:
    """As `encode`, for a document of which `COMMIT_TS` may be a part.

    >>> from pyconvex.values import COMMIT_TS
    >>> encode_pending({"at": COMMIT_TS})
    b'{"at":{"$commitTs":null}}'
    """
    return _encode(value, _PENDING)


def is_pending(doc: bytes) -> bool:
    """Whether `encode_pending` wrote `COMMIT_TS` into this.

    No string can hold the mark, whose quotes would be escaped, and no field has such a name.
    """
    return _COMMIT_TS_MARK in doc


def settle(doc: bytes, commit_ts: int) -> bytes:
    """The document as it is once its commit has a timestamp.

    >>> settle(b'{"at":{"$commitTs":null}}', 7)
    b'{"at":{"$integer":"BwAAAAAAAAA="}}'
    """
    return doc.replace(_COMMIT_TS_MARK, _to_json(_TAGGED.int64(commit_ts)))


class _Leaves(NamedTuple):
    """How one output format writes what JSON has no word for."""

    int64: Callable[[int], object]
    special_float: Callable[[float], object]
    bytes: Callable[[bytes], object]
    commit_ts: Callable[[], object]


def _no_commit_ts() -> object:
    raise InvalidValue(
        "the commit timestamp is not known before the mutation commits",
        "It can only be a part of a document that is written.",
    )


def base64(raw: bytes) -> str:
    """Bytes as padded base 64 on one line."""
    return binascii.b2a_base64(raw, newline=False).decode()


INT64_LAYOUT = struct.Struct("<q")
FLOAT64_LAYOUT = struct.Struct("<d")

_CLEAN_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_TAGGED: Final = _Leaves(
    int64=lambda value: {"$integer": base64(INT64_LAYOUT.pack(value))},
    special_float=lambda value: {"$float": base64(FLOAT64_LAYOUT.pack(value))},
    bytes=lambda value: {"$bytes": base64(value)},
    commit_ts=_no_commit_ts,
)
_PENDING: Final = _TAGGED._replace(commit_ts=lambda: {"$commitTs": None})
_COMMIT_TS_MARK: Final = b'{"$commitTs":null}'
_CLEAN: Final = _Leaves(
    int64=str,
    special_float=lambda value: value if value == 0 else _CLEAN_NAMES[str(value)],
    bytes=base64,
    commit_ts=_no_commit_ts,
)
_EXPORT: Final = _Leaves(
    int64=int,
    special_float=lambda value: value if value == 0 else _TAGGED.special_float(value),
    bytes=_TAGGED.bytes,
    commit_ts=_no_commit_ts,
)

_FORMATS: Final = {
    "convex_encoded_json": _TAGGED,
    "convex_json": _TAGGED,
    "json": _CLEAN,
    "convex_clean_json": _CLEAN,
    "export_json": _EXPORT,
}

#: What msgspec writes as we want it, whatever the value is.
_AS_IS = frozenset((str, bool, type(None)))

_to_json = msgspec.json.Encoder(order="sorted").encode


def _encode(value: object, leaves: _Leaves) -> bytes:
    try:
        raw = _to_json(_prepared(value, leaves, 1))
    except UnicodeEncodeError:
        raise _half_surrogate(value) from None
    check_size(value, len(raw))
    return raw


def _prepared(value: Any, leaves: _Leaves, depth: int) -> object:
    """What msgspec must be given for `value`; the same object if nothing has to change."""
    kind = type(value)
    if kind is dict:
        return _prepared_object(value, leaves, depth)
    if kind is list:
        return _prepared_array(value, leaves, depth)
    if kind in _AS_IS:
        return cast(object, value)
    if isinstance(value, Int64):
        return leaves.int64(int(value))
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return _float(float(value), leaves)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return leaves.bytes(bytes(value))
    if isinstance(value, dict):
        return _prepared_object(value, leaves, depth)
    if isinstance(value, (list, tuple)):
        return _prepared_array(value, leaves, depth)
    if value is COMMIT_TS:
        return leaves.commit_ts()
    raise not_convex(value)


def _prepared_object(fields: dict[str, Any], leaves: _Leaves, depth: int) -> dict[str, Any]:
    check_field_names(fields)
    if len(fields) > MAX_OBJECT_FIELDS or depth > MAX_NESTING:
        check_container(fields, depth)
    changed: dict[str, Any] | None = None if type(fields) is dict else dict(fields)
    name = ""
    try:
        for name, value in fields.items():
            kind = type(value)
            # Nearly all fields end here; `value - value` is not 0 for NaN and infinities.
            if kind in _AS_IS or (kind is float and value and value - value == 0):
                continue
            if changed is None:
                changed = dict(fields)
            if value is UNSET:
                del changed[name]
            else:
                changed[name] = _prepared(value, leaves, depth + 1)
    except InvalidValue as error:
        error.inside(f".{name}")
        raise
    return fields if changed is None else changed


def _prepared_array(items: Sequence[Any], leaves: _Leaves, depth: int) -> Sequence[Any]:
    if len(items) > MAX_ARRAY_LENGTH or depth > MAX_NESTING:
        check_container(items, depth)
    kinds = set(map(type, items))
    if kinds <= _AS_IS or (kinds == {float} and _all_ordinary(items)):
        return items if type(items) is list else list(items)
    changed: list[object] = []
    try:
        for item in items:
            changed.append(_prepared(item, leaves, depth + 1))  # noqa: PERF401  # the error needs it
    except InvalidValue as error:
        error.inside(f"[{len(changed)}]")
        raise
    return changed


def _all_ordinary(floats: Sequence[float]) -> bool:
    """True only if none is 0, NaN or infinite; may be False for nothing when the sum overflows."""
    total = sum(floats)
    return total - total == 0 and all(floats)


def _float(value: float, leaves: _Leaves) -> object:
    if value - value == 0 and (value or str(value) == "0.0"):
        return value
    return leaves.special_float(value)


def number(value: int) -> float:
    """A Python int as a Convex number; raises `InvalidValue` when a double can't hold it safely."""
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise InvalidValue(
            f"int {int(value)} is too large for a number",
            "Numbers hold whole values up to 2**53 - 1: use Int64 (v.int64()) instead.",
        )
    return float(value)


def not_convex(value: object) -> InvalidValue:
    """The error for an object of a type that Convex doesn't have."""
    if value is UNSET:
        return InvalidValue("UNSET is not a value", "It can only stand for a field of an object.")
    return InvalidValue(
        f"{type(value).__name__} is not a Convex type",
        "Use None, bool, int, float, Int64, str, bytes, list or dict.",
    )


HALF_SURROGATE = "str contains half of a surrogate pair, which is no character"


def _half_surrogate(value: object) -> InvalidValue:
    """The error for the first string that has no UTF-8; msgspec does not say where it is."""
    error = InvalidValue(HALF_SURROGATE)
    for segment in reversed(_path_to_half_surrogate(value) or []):
        error.inside(segment)
    return error


def _path_to_half_surrogate(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [] if any("\ud800" <= char <= "\udfff" for char in value) else None
    parts: list[tuple[str, object]] = []
    if isinstance(value, dict):
        parts = [(f".{name}", part) for name, part in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(f"[{index}]", part) for index, part in enumerate(value)]
    for segment, part in parts:
        path = _path_to_half_surrogate(part)
        if path is not None:
            return [segment, *path]
    return None
