"""How large and how deep a value is, by Convex's count.

Owns the formula that all byte limits use. Never measures encoded text: a limit must not depend on
how a value is written. One invariant: the size of a part is never larger than that of the whole.

null and bool 1; number and Int64 9; str and bytes 2 + n (UTF-8); array 2 + elements; object 2 + for
each field its name, 1 and its value.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

from pyconvex.values.errors import InvalidValue
from pyconvex.values.limits import (
    MAX_ARRAY_LENGTH,
    MAX_NESTING,
    MAX_OBJECT_FIELDS,
    MAX_VALUE_BYTES,
)
from pyconvex.values.types import UNSET, Int64, PendingCommitTs


def size_of(value: object) -> int:
    """Bytes that a value counts for.

    >>> size_of({"name": "Ada"})
    12
    """
    fixed = _FIXED.get(type(value))
    if fixed is not None:
        return fixed
    if isinstance(value, str):
        return 2 + (len(value) if value.isascii() else len(value.encode()))
    if isinstance(value, dict):
        return _object_size(value)
    if isinstance(value, (list, tuple)):
        return 2 + sum(map(size_of, value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return 2 + memoryview(value).nbytes
    if isinstance(value, (float, int)):
        return _FIXED[float]
    raise InvalidValue(f"{type(value).__name__} is not a Convex type")


_FIXED: Final[dict[type, int]] = {
    type(None): 1,
    bool: 1,
    float: 9,
    Int64: 9,
    int: 9,
    PendingCommitTs: 9,
}


def _object_size(fields: dict[str, object]) -> int:
    size = 2
    for name, field in fields.items():
        if field is not UNSET:
            size += len(name) + 1 + (_FIXED.get(type(field)) or size_of(field))
    return size


def nesting_of(value: object) -> int:
    """Levels of arrays and objects in a value; 0 for a plain one.

    >>> nesting_of("a"), nesting_of([]), nesting_of({"a": [1.0]})
    (0, 1, 2)
    """
    if not isinstance(value, _CONTAINERS):
        return 0
    parts = value.values() if isinstance(value, dict) else value
    return 1 + max([nesting_of(part) for part in parts if isinstance(part, _CONTAINERS)], default=0)


_CONTAINERS: Final = (dict, list, tuple)


def check_container(container: Sized, depth: int) -> None:
    """Refuse an array or object, `depth` levels deep, that is too long or too deep."""
    count = len(container)
    if isinstance(container, dict):
        if count > MAX_OBJECT_FIELDS:
            raise InvalidValue(
                f"Object has too many fields ({count} > maximum number {MAX_OBJECT_FIELDS})"
            )
    elif count > MAX_ARRAY_LENGTH:
        raise InvalidValue(
            f"Array length is too long ({count} > maximum length {MAX_ARRAY_LENGTH})"
        )
    if depth > MAX_NESTING:
        raise InvalidValue(
            f"Value is too nested (nested {depth} levels deep > maximum nesting {MAX_NESTING})"
        )


# An element such as `0.0,` has four bytes of text and counts for nine.
_SUSPECT_TEXT_BYTES: Final = MAX_VALUE_BYTES // 4


def check_size(value: object, text_bytes: int) -> None:
    """Refuse a value that is too large; only measures it when its text, `text_bytes`, is long."""
    if text_bytes <= _SUSPECT_TEXT_BYTES:
        return
    size = size_of(value)
    if size > MAX_VALUE_BYTES:
        limit = format_size(MAX_VALUE_BYTES)
        raise InvalidValue(f"Value is too large ({format_size(size)} > maximum size {limit})")


def format_size(count: int) -> str:
    """A number of bytes for an error message, as Convex prints it.

    >>> format_size(1048576), format_size(1048577 + 524288), format_size(12)
    ('1 MiB', '1.50 MiB', '12 B')
    """
    amount, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if amount == int(amount) else f"{amount:.2f} {units[0]}"
