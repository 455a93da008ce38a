"""Property operators as PostHog's flags service applies them.

Owns what each operator means for a present value and for a missing one. Pure: the current time is
an argument. Written apart from every other evaluator of this workspace on purpose: each tests the
other.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from posthog_local.flags import semver
from posthog_local.flags.dates import filter_time_us, property_time_us
from posthog_local.flags.definition import PropertyFilter

# Operators that a missing property satisfies.
_TRUE_WHEN_MISSING = frozenset(
    [
        "is_not",
        "not_icontains",
        "not_regex",
        "not_starts_with",
        "not_ends_with",
        "not_icontains_multi",
        "not_in",
        "not_between",
        "is_not_set",
    ]
)
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class UnknownOperator(ValueError):
    """The condition uses an operator that PostHog does not have; the flag fails."""


def matches(wanted: PropertyFilter, properties: Mapping[str, Any], now: datetime) -> bool:
    """Whether the properties satisfy one line of a condition; may raise `UnknownOperator`."""
    operator = wanted.operator or "exact"
    test = _OPERATORS.get(operator)
    if test is None:
        raise UnknownOperator(f"unknown operator {operator!r} on {wanted.key!r}")
    key = str(wanted.key)
    if key not in properties:
        return operator in _TRUE_WHEN_MISSING
    return test(properties[key], wanted.value, now)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value, order="deterministic").decode()


_UPPER_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _folded(value: object) -> str:
    return _text(value).translate(_UPPER_TO_LOWER)


def _is_boolean_like(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_boolean_like(item) for item in value)
    return isinstance(value, bool) or (
        isinstance(value, str) and value.lower() in ("true", "false")
    )


def _is_truthy(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_truthy(item) for item in value)
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _exact(actual: object, wanted: object, _now: datetime) -> bool:
    # A yes-or-no condition compares truth, so that `false` also matches 0, null and "banana".
    if _is_boolean_like(wanted):
        return _is_truthy(actual) == _is_truthy(wanted)
    return _is_one_of(actual, wanted, _now)


def _is_one_of(actual: object, wanted: object, _now: datetime) -> bool:
    options = wanted if isinstance(wanted, list) else [wanted]
    text = _text(actual).lower()
    return any(_text(option).lower() == text for option in options)


def _contains(actual: object, wanted: object, _now: datetime) -> bool:
    return _folded(wanted) in _folded(actual)


def _contains_any(actual: object, wanted: object, _now: datetime) -> bool:
    options = wanted if isinstance(wanted, list) else [wanted]
    return any(_folded(option) in _folded(actual) for option in options)


def _starts_with(actual: object, wanted: object, _now: datetime) -> bool:
    return _folded(actual).startswith(_folded(wanted))


def _ends_with(actual: object, wanted: object, _now: datetime) -> bool:
    return _folded(actual).endswith(_folded(wanted))


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        with warnings.catch_warnings():
            # Python's doubts about a pattern are no business of whoever wrote it for Rust.
            warnings.simplefilter("ignore")
            return re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None


def _regex(actual: object, wanted: object, _now: datetime) -> bool:
    pattern = _pattern(_text(wanted))
    return pattern is not None and pattern.search(_text(actual)) is not None


def _not_regex(actual: object, wanted: object, _now: datetime) -> bool:
    pattern = _pattern(_text(wanted))
    return pattern is not None and pattern.search(_text(actual)) is None


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) <= sys.float_info.max else None
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()) is not None:
        return float(value)
    return None


def _numeric(compare: Callable[[float, float], bool]) -> _Test:
    def test(actual: object, wanted: object, _now: datetime) -> bool:
        left, right = _number(actual), _number(wanted)
        return left is not None and right is not None and compare(left, right)

    return test


def _between(actual: object, wanted: object, _now: datetime) -> bool:
    bounds = _bounds(wanted)
    value = _number(actual)
    return bounds is not None and value is not None and bounds[0] <= value <= bounds[1]


def _not_between(actual: object, wanted: object, _now: datetime) -> bool:
    bounds = _bounds(wanted)
    value = _number(actual)
    return bounds is not None and value is not None and not bounds[0] <= value <= bounds[1]


def _bounds(wanted: object) -> tuple[float, float] | None:
    if not isinstance(wanted, list) or len(wanted) != 2:
        return None
    low, high = _number(wanted[0]), _number(wanted[1])
    return None if low is None or high is None else (low, high)


def _dated(compare: Callable[[int, int], bool]) -> _Test:
    def test(actual: object, wanted: object, now: datetime) -> bool:
        left, right = property_time_us(actual), filter_time_us(wanted, now)
        return left is not None and right is not None and compare(left, right)

    return test


def _versioned(compare: Callable[[semver.Version, semver.Version], bool]) -> _Test:
    def test(actual: object, wanted: object, _now: datetime) -> bool:
        left, right = semver.parse(_text(actual)), semver.parse(_text(wanted))
        return left is not None and right is not None and compare(left, right)

    return test


def _in_range(
    read: Callable[[str], tuple[semver.Version, semver.Version] | None],
) -> _Test:
    def test(actual: object, wanted: object, _now: datetime) -> bool:
        version, bounds = semver.parse(_text(actual)), read(_text(wanted))
        return version is not None and bounds is not None and bounds[0] <= version < bounds[1]

    return test


def _not(test: _Test) -> _Test:
    return lambda actual, wanted, now: not test(actual, wanted, now)


_Test = Callable[[object, object, datetime], bool]
_OPERATORS: dict[str, _Test] = {
    "exact": _exact,
    "is_not": _not(_exact),
    "in": _is_one_of,
    "not_in": _not(_is_one_of),
    "icontains": _contains,
    "not_icontains": _not(_contains),
    "icontains_multi": _contains_any,
    "not_icontains_multi": _not(_contains_any),
    "starts_with": _starts_with,
    "not_starts_with": _not(_starts_with),
    "ends_with": _ends_with,
    "not_ends_with": _not(_ends_with),
    "regex": _regex,
    "not_regex": _not_regex,
    "gt": _numeric(lambda left, right: left > right),
    "gte": _numeric(lambda left, right: left >= right),
    "lt": _numeric(lambda left, right: left < right),
    "lte": _numeric(lambda left, right: left <= right),
    "between": _between,
    "not_between": _not_between,
    "is_set": lambda actual, wanted, now: True,
    "is_not_set": lambda actual, wanted, now: False,
    "is_date_exact": _dated(lambda left, right: left == right),
    "is_date_before": _dated(lambda left, right: left < right),
    "is_date_after": _dated(lambda left, right: left > right),
    "semver_eq": _versioned(lambda left, right: left == right),
    "semver_neq": _versioned(lambda left, right: left != right),
    "semver_gt": _versioned(lambda left, right: left > right),
    "semver_gte": _versioned(lambda left, right: left >= right),
    "semver_lt": _versioned(lambda left, right: left < right),
    "semver_lte": _versioned(lambda left, right: left <= right),
    "semver_tilde": _in_range(semver.tilde),
    "semver_caret": _in_range(semver.caret),
    "semver_wildcard": _in_range(semver.wildcard),
}
OPERATOR_NAMES = tuple(_OPERATORS)
