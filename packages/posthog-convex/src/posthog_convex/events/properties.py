"""What a property may be.

Owns turning Python values into JSON values, and the error that names the one that can't be. Never
knows events. One invariant: what comes out is plain JSON data that nothing else refers to.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec

#: Property values as a caller writes them.
Properties = Mapping[str, Any]
#: Deeper data is a cycle or a mistake; PostHog's own limits are far above.
_MAX_DEPTH = 64
#: Whole numbers up to here are exact in a double.
_EXACT_INTEGERS = 2**53
_LISTS = (list, tuple, set, frozenset, deque)
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


class EventError(ValueError):
    """An event that can't be built: nothing was recorded; the message says what to change."""


class UnfitValue(EventError):
    """One of its values has no JSON form."""


class _TooDeep(UnfitValue):
    """One of its values may have no end."""


def plain(properties: Properties | None, what: str) -> dict[str, Any]:
    """A copy as JSON data; `what` names the argument in errors.

    Dates become ISO text, UUIDs and enums their text or value, sets and tuples lists, documents,
    dataclasses and pydantic's models dicts, whole floats integers, as JavaScript writes them.
    Raises `UnfitValue` for bytes, NaN, keys that are no text and everything else.

    >>> from datetime import date
    >>> plain({"since": date(2024, 6, 1), "seats": 3.0}, "properties")
    {'since': '2024-06-01', 'seats': 3}
    """
    if properties is None:
        return {}
    named = properties if isinstance(properties, Mapping) else _fields(properties)
    if named is None:
        raise EventError(f"{what} must be a dict, not {type(properties).__name__}")
    return _object(named, what, 0)


def spared(properties: Properties | None, what: str) -> tuple[dict[str, Any], list[str]]:
    """The same, with None for what has no JSON form, and what was wrong with each.

    >>> spared({"a": 1, "b": {"c": float("nan")}}, "properties")[0]
    {'a': 1, 'b': {'c': None}}
    """
    told: list[str] = []

    def spare(value: Any, path: str, depth: int) -> Any:
        try:
            return _value(value, path, depth)
        except _TooDeep as error:
            told.append(str(error))
            return None
        except UnfitValue as error:
            named = value if isinstance(value, Mapping) else _fields(value)
            if named is not None:
                return object_of(named, path, depth + 1)
            if isinstance(value, _LISTS):
                return [spare(each, f"{path}[{i}]", depth + 1) for i, each in enumerate(value)]
            told.append(str(error))
            return None

    def object_of(named: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        return {str(key): spare(each, f"{path}[{key!r}]", depth) for key, each in named.items()}

    named = properties if isinstance(properties, Mapping) else _fields(properties)
    return object_of(named or {}, what, 0), told


def _value(value: Any, path: str, depth: int) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value if value is None or isinstance(value, bool) else str.__str__(value)
    if isinstance(value, Enum):
        return _value(value.value, path, depth)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (float, Decimal)):
        return _number(float(value), path)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if depth >= _MAX_DEPTH:
        raise _TooDeep(f"{path} is nested deeper than {_MAX_DEPTH} levels: is it a cycle?")
    if isinstance(value, Mapping):
        return _object(value, path, depth + 1)
    if isinstance(value, _LISTS):
        return [_value(each, f"{path}[{i}]", depth + 1) for i, each in enumerate(value)]
    if (named := _fields(value)) is not None:
        return _object(named, path, depth + 1)
    raise UnfitValue(
        f"{path} is of type {type(value).__name__}, which PostHog can't store: pass text, a "
        "number, true, false, null, a date, a list or a dict of these"
    )


def _object(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, each in value.items():
        if not isinstance(key, str):
            raise UnfitValue(f"{path} has the key {key!r}: property names are text")
        # Most values are their own JSON, and a path is for errors.
        if type(each) not in _AS_THEY_ARE:
            each = _value(each, f"{path}[{key!r}]", depth)
        made[key if type(key) is str else str.__str__(key)] = each
    return made


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """What is in an object with fields: a dataclass, a Struct, a document, a model of pydantic."""
    if isinstance(value, type):
        return None
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    for name in ("to_fields", "model_dump"):
        if callable(tell := getattr(value, name, None)):
            found = tell()
            return found if isinstance(found, Mapping) else None
    return None


def _number(value: float, path: str) -> float | int:
    if not math.isfinite(value):
        raise UnfitValue(f"{path} is {value}: JSON has no such number, pass None instead")
    return int(value) if value.is_integer() and abs(value) <= _EXACT_INTEGERS else value
