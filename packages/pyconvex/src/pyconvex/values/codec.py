"""Values to JSON and back.

Owns Convex's tagged encoding (lossless, used on every socket and on disk) and its two readable
output formats. Never decides what a function accepts: validators do. One invariant: `decode(encode(
value))` is `value` in canonical form, and equal values encode to equal bytes.

A tag is an object with one key: `$integer`, `$float` (NaN, infinities, -0) and `$bytes`, each in
base 64, little endian. Every other number is a float and is written with a fraction or exponent.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec

from pyconvex.values.errors import InvalidValue, MalformedJson, UnknownFormat
from pyconvex.values.limits import (
    MAX_ARRAY_LENGTH,
    MAX_FIELD_NAME_LENGTH,
    MAX_NESTING,
    MAX_OBJECT_FIELDS,
    MAX_SAFE_INTEGER,
    MAX_VALUE_BYTES,
)
from pyconvex.values.sizes import format_size, size_of
from pyconvex.values.types import UNSET, Int64, Value

_encoder = msgspec.json.Encoder(order="sorted")


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


def decode(text: bytes | str) -> Value:
    """The value that tagged JSON stands for; every plain number becomes a float.

    The last of duplicate keys counts. Raises `MalformedJson` for text that is no JSON, has bad
    tags, reserved or non-ASCII field names or half surrogate pairs, or breaks a limit.

    >>> decode('{"n": 1, "i": {"$integer": "BwAAAAAAAAA="}}')
    {'n': 1.0, 'i': Int64(7)}
    """
    raw = text if isinstance(text, bytes) else _utf8(text)
    value = _parse(raw)
    if not _needs_no_walk(raw):
        value = _settle(value, 1)
    if len(raw) > _SUSPECT_BYTES:
        _check_size(value, MalformedJson)
    return cast(Value, value)


# Names that were found valid before: a set test per object instead of a test per name.
_known_names: set[str] = set()
_KNOWN_NAMES_MAX = 8192

# A value can count for up to nine bytes ({"$integer"} aside) where its text has four ("1.0,").
_SUSPECT_BYTES = MAX_VALUE_BYTES // 4


def _check_names(names: Iterable[object], error: type[InvalidValue]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise error(f"Field name {name!r} is {type(name).__name__}, not str")
        if name in _known_names:
            continue
        _check_name(name, error)
        # Long names are rarely field names of an app; they must not fill the memory.
        if len(name) <= 64 and len(_known_names) < _KNOWN_NAMES_MAX:
            _known_names.add(str.__str__(name))


def _check_name(name: str, error: type[InvalidValue]) -> None:
    if name.startswith("$"):
        raise error(f"Field name {name} starts with '$', which is reserved")
    for char in name:
        if not " " <= char <= "~":
            raise error(
                f"Field name {ascii(name)[1:-1]} has invalid character {char!a}: "
                "Field names can only contain non-control ASCII characters"
            )
    if len(name) > MAX_FIELD_NAME_LENGTH:
        raise error(f"Field name is too long ({len(name)} > maximum {MAX_FIELD_NAME_LENGTH})")


def _check_counts(container: Any, depth: int, error: type[InvalidValue]) -> None:
    count = len(container)
    if isinstance(container, dict):
        if count > MAX_OBJECT_FIELDS:
            raise error(
                f"Object has too many fields ({count} > maximum number {MAX_OBJECT_FIELDS})"
            )
    elif count > MAX_ARRAY_LENGTH:
        raise error(f"Array length is too long ({count} > maximum length {MAX_ARRAY_LENGTH})")
    if depth > MAX_NESTING:
        raise error(
            f"Value is too nested (nested {depth} levels deep > maximum nesting {MAX_NESTING})"
        )


def _check_size(value: object, error: type[InvalidValue]) -> None:
    size = size_of(value)
    if size > MAX_VALUE_BYTES:
        limit = format_size(MAX_VALUE_BYTES)
        raise error(f"Value is too large ({format_size(size)} > maximum size {limit})")


class _Leaves(NamedTuple):
    """How one output format writes what JSON has no word for."""

    int64: Callable[[int], object]
    special_float: Callable[[float], object]
    bytes: Callable[[bytes], object]


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


_INT64_LAYOUT = struct.Struct("<q")
_FLOAT64_LAYOUT = struct.Struct("<d")

_TAGGED: Final = _Leaves(
    int64=lambda value: {"$integer": _base64(_INT64_LAYOUT.pack(value))},
    special_float=lambda value: {"$float": _base64(_FLOAT64_LAYOUT.pack(value))},
    bytes=lambda value: {"$bytes": _base64(value)},
)
_CLEAN: Final = _Leaves(
    int64=str,
    special_float=lambda value: (
        value if value == 0 else "NaN" if value != value else f"{'-' * (value < 0)}Infinity"
    ),
    bytes=_base64,
)
_EXPORT: Final = _Leaves(
    int64=int,
    special_float=lambda value: value if value == 0 else _TAGGED.special_float(value),
    bytes=_TAGGED.bytes,
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


def _encode(value: object, leaves: _Leaves) -> bytes:
    try:
        raw = _encoder.encode(value if type(value) in _AS_IS else _jsonable(value, leaves, 1))
    except UnicodeEncodeError:
        raise _half_surrogate(value) from None
    if len(raw) > _SUSPECT_BYTES:
        _check_size(value, InvalidValue)
    return raw


def _jsonable(value: Any, leaves: _Leaves, depth: int) -> object:
    """What msgspec must be given for `value`: the same object wherever nothing needs to change."""
    kind = type(value)
    if kind is dict:
        return _jsonable_object(value, leaves, depth)
    if kind is list:
        return _jsonable_array(value, leaves, depth)
    if isinstance(value, float):
        return float(value) if value and value - value == 0 else _zero_or_special(value, leaves)
    if isinstance(value, Int64):
        return leaves.int64(int(value))
    if isinstance(value, int):
        return _number(value) if kind is not bool else value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return leaves.bytes(bytes(value))
    if isinstance(value, dict):
        return _jsonable_object(value, leaves, depth)
    if isinstance(value, (list, tuple)):
        return _jsonable_array(value, leaves, depth)
    if value is None:
        return None
    raise _not_convex(value)


def _jsonable_object(fields: dict[str, Any], leaves: _Leaves, depth: int) -> dict[str, Any]:
    if not _known_names.issuperset(fields):
        _check_names(fields, InvalidValue)
    if len(fields) > MAX_OBJECT_FIELDS or depth > MAX_NESTING:
        _check_counts(fields, depth, InvalidValue)
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
                changed[name] = _jsonable(value, leaves, depth + 1)
    except InvalidValue as error:
        error.inside(_field_segment(name))
        raise
    return fields if changed is None else changed


def _jsonable_array(items: Sequence[Any], leaves: _Leaves, depth: int) -> Sequence[Any]:
    if len(items) > MAX_ARRAY_LENGTH or depth > MAX_NESTING:
        _check_counts(items, depth, InvalidValue)
    kinds = set(map(type, items))
    if kinds <= _AS_IS or (kinds == {float} and _all_ordinary(items)):
        return list(items)
    changed = []
    try:
        for item in items:
            changed.append(_jsonable(item, leaves, depth + 1))  # noqa: PERF401  # len() is the index
    except InvalidValue as error:
        error.inside(f"[{len(changed)}]")
        raise
    return changed


def _all_ordinary(floats: Sequence[float]) -> bool:
    """True only if no float is 0, NaN or infinite; may be False without need for huge sums."""
    total = sum(floats)
    return total - total == 0 and all(floats)


def _zero_or_special(value: float, leaves: _Leaves) -> object:
    if value == 0 and str(value)[0] != "-":
        return 0.0
    return leaves.special_float(float(value))


def _number(value: int) -> float:
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise InvalidValue(
            f"int {int(value)} is too large for a number",
            "Numbers hold whole values up to 2**53 - 1: use Int64 (v.int64()) instead.",
        )
    return float(value)


def _not_convex(value: object) -> InvalidValue:
    if value is UNSET:
        return InvalidValue("UNSET is not a value", "It can only stand for a field of an object.")
    return InvalidValue(
        f"{type(value).__name__} is not a Convex type",
        "Use None, bool, int, float, Int64, str, bytes, list or dict.",
    )


def _field_segment(name: str) -> str:
    return f".{name}"


def _half_surrogate(value: object) -> InvalidValue:
    """The error for the first string that has no UTF-8; msgspec does not say where it is."""
    error = InvalidValue("str contains half of a surrogate pair, which is no character")
    while not isinstance(value, str):
        parts = value.items() if isinstance(value, dict) else enumerate(cast(Any, value))
        for key, part in parts:
            if not _is_text(part):
                error._reversed_path.insert(0, f".{key}" if isinstance(value, dict) else f"[{key}]")
                value = part
                break
    return error


def _is_text(value: object) -> bool:
    """False if a string somewhere in `value` has no UTF-8."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, dict):
        return all(map(_is_text, value.values()))
    return all(map(_is_text, value)) if isinstance(value, (list, tuple)) else True


def _numbers_are_floats(depth: int) -> Any:
    """The type of a value of at most `depth` levels: msgspec turns its ints into floats in C."""
    scalar = float | str | bool | None
    value: Any = scalar
    for _ in range(depth):
        value = scalar | list[value] | dict[str, value]
    return value


# The type's size doubles with each level; deeper text is parsed again without it.
_shallow = msgspec.json.Decoder(_numbers_are_floats(7))
_any_depth = msgspec.json.Decoder()

#: Children that `_settle` must look at; ints are left over only by `_any_depth`.
_UNSETTLED = frozenset((dict, list, int))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MalformedJson("JSON contains half of a surrogate pair") from None


def _parse(raw: bytes) -> Any:
    try:
        try:
            return _shallow.decode(raw)
        except msgspec.ValidationError:
            return _settle_numbers(_any_depth.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise MalformedJson(f"Invalid JSON: {error}".rstrip(".")) from None
    except RecursionError:
        raise MalformedJson(f"Value is too nested (maximum nesting {MAX_NESTING})") from None


def _settle_numbers(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _needs_no_walk(raw: bytes) -> bool:
    """True if no tag, bad name or broken limit can hide in the text.

    That is so for text too short to break a limit, in which names stand as they are written. Text
    that was parsed by `_shallow` is at most that deep; deeper text has more brackets than this lets
    pass.
    """
    return (
        len(raw) <= MAX_FIELD_NAME_LENGTH
        and b'"$' not in raw
        and b"\\" not in raw
        and b"\x7f" not in raw
        and raw.isascii()
        and raw.count(b"[") + raw.count(b"{") <= 7
    )


def _settle(value: Any, depth: int) -> Any:
    """Check a parsed value, turn tags into what they stand for, in place where it can be."""
    kind = type(value)
    if kind is dict:
        return _settle_object(value, depth)
    if kind is list:
        return _settle_array(value, depth)
    return float(value) if kind is int else value


def _settle_object(fields: dict[str, Any], depth: int) -> Any:
    if not _known_names.issuperset(fields):
        if len(fields) == 1:
            ((name, content),) = fields.items()
            if name in _TAGS:
                return _TAGS[name](content)
        _check_names(fields, MalformedJson)
    if len(fields) > MAX_OBJECT_FIELDS or depth > MAX_NESTING:
        _check_counts(fields, depth, MalformedJson)
    name = ""
    try:
        for name, value in fields.items():
            if type(value) in _UNSETTLED:
                fields[name] = _settle(value, depth + 1)
    except InvalidValue as error:
        error.inside(_field_segment(name))
        raise
    return fields


def _settle_array(items: list[Any], depth: int) -> list[Any]:
    if len(items) > MAX_ARRAY_LENGTH or depth > MAX_NESTING:
        _check_counts(items, depth, MalformedJson)
    if _UNSETTLED.isdisjoint(map(type, items)):
        return items
    index = 0
    try:
        for index, item in enumerate(items):
            items[index] = _settle(item, depth + 1)
    except InvalidValue as error:
        error.inside(f"[{index}]")
        raise
    return items


def _untag_integer(content: object) -> Int64:
    return Int64(_INT64_LAYOUT.unpack(_eight_bytes(content, "$integer", "Int64"))[0])


def _untag_float(content: object) -> float:
    number: float = _FLOAT64_LAYOUT.unpack(_eight_bytes(content, "$float", "Float64"))[0]
    if number and number - number == 0:
        raise MalformedJson(f"Float64 {number!r} should be encoded as a number")
    return number


def _untag_bytes(content: object) -> bytes:
    if not isinstance(content, str):
        raise MalformedJson("Malformed $bytes field: not a string")
    return _unbase64(content, "$bytes")


def _eight_bytes(content: object, tag: str, type_name: str) -> bytes:
    if not isinstance(content, str):
        raise MalformedJson(f"Malformed {tag} field: not a string")
    raw = _unbase64(content, tag)
    if len(raw) != 8:
        raise MalformedJson(f"{type_name} must be exactly eight bytes")
    return raw


def _unbase64(content: str, tag: str) -> bytes:
    try:
        raw = binascii.a2b_base64(content, strict_mode=True)
    except ValueError:
        raw = b""
    # Comparing refuses what even strict mode lets pass, such as spare bits that are set.
    if _base64(raw) != content:
        raise MalformedJson(f"Malformed {tag} field: not base 64")
    return raw


_TAGS: Final[dict[str, Callable[[object], object]]] = {
    "$integer": _untag_integer,
    "$float": _untag_float,
    "$bytes": _untag_bytes,
}
