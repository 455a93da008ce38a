"""One property filter as a function from properties to true, false or unknown.

Owns the operators. Never reads a definition beyond one filter, or a clock. One invariant: where the
SDKs differ the function says what PostHog's server says; a key that the caller did not pass is
unknown, because the server may know it.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable

from posthog_convex.flags.dates import date_check
from posthog_convex.flags.definitions import PropertyFilter
from posthog_convex.flags.patterns import pattern_check
from posthog_convex.flags.semver import semver_check
from posthog_convex.flags.text import ascii_lower, text_of_filter, text_of_property
from posthog_convex.flags.verdict import Call, Json, Properties, Reason, Ternary, Unknown

#: Says whether a value that was passed matches.
Check = Callable[[Json, Call], Ternary]
#: Says whether properties match.
Matcher = Callable[[Properties, Call], Ternary]

#: Property types whose values are the ones that a caller passes.
PASSED_TYPES = frozenset({None, "person", "group", "property"})

_MISSING = object()


class _Unusable(Exception):
    """A filter that can't be decided here, whatever is passed; the message says why."""


def unsupported(detail: str) -> Unknown:
    """The unknown of a definition that can't be evaluated here."""
    return Unknown(Reason.UNSUPPORTED_DEFINITION, detail)


def compile_property(filter_: PropertyFilter, matching_version: int) -> Matcher | Unknown:
    """The matcher of one filter, or the unknown that it always is."""
    name = filter_.operator or "exact"
    key = "" if filter_.key is None else str(filter_.key)
    if filter_.type not in PASSED_TYPES:
        return unsupported(f"a filter of type {filter_.type!r} needs the server")
    missing = Unknown(Reason.MISSING_CONTEXT, f"property {key!r} was not passed")
    if name in ("is_set", "is_not_set"):
        present = name == "is_set"
        return _on_key(key, lambda value, call: present, missing)
    if name not in _OPERATORS:
        return unsupported(f"unknown operator {name!r}")
    if filter_.value is None:
        return lambda properties, call: False
    try:
        check = _OPERATORS[name](name, filter_.value, key, matching_version)
    except _Unusable as error:
        return unsupported(f"property {key!r}: {error}")
    return _on_key(key, check, missing)


def _on_key(key: str, check: Check, missing: Unknown) -> Matcher:
    if key == "distinct_id":
        return _on_distinct_id(check, missing)

    def match(properties: Properties, call: Call) -> Ternary:
        value = properties.get(key, _MISSING)
        return missing if value is _MISSING else check(value, call)

    return match


def _on_distinct_id(check: Check, missing: Unknown) -> Matcher:
    """A person's distinct id counts as a property; a group has none."""

    def match(properties: Properties, call: Call) -> Ternary:
        value = properties.get("distinct_id", _MISSING)
        if value is _MISSING and properties is call.person_properties:
            value = call.distinct_id
        return missing if value is _MISSING else check(value, call)

    return match


def unusable_value(key: str) -> Unknown:
    """The unknown of a passed value that has no JSON form."""
    return Unknown(Reason.MISSING_CONTEXT, f"property {key!r} was passed in an unusable form")


# Equality.


def _equality(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    negated, unusable = name == "is_not", unusable_value(key)
    if wanted == [] or (matching_version != 2 and _is_boolean_like(wanted)):
        expected = _is_true(wanted) if wanted != [] else True

        def check_truth(value: Json, call: Call) -> Ternary:
            if type(value) is not str and text_of_property(value) is None:
                return unusable
            return (_is_true(value) == expected) is not negated

        return check_truth

    choices = frozenset(
        _filter_text(each).lower() for each in (wanted if isinstance(wanted, list) else [wanted])
    )

    def check(value: Json, call: Call) -> Ternary:
        text = value if type(value) is str else text_of_property(value)
        return unusable if text is None else (text.lower() in choices) is not negated

    return check


def _is_boolean_like(value: Json) -> bool:
    if isinstance(value, list):
        return all(_is_boolean_like(each) for each in value)
    return isinstance(value, bool) or (
        isinstance(value, str) and value.lower() in ("true", "false")
    )


def _is_true(value: Json) -> bool:
    if isinstance(value, list):
        return all(_is_true(each) for each in value)
    return value is True or (isinstance(value, str) and value.lower() == "true")


# Text.

_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "icontains": operator.contains,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
}


def _text(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    negated, unusable = name.startswith("not_"), unusable_value(key)
    test = _TEXT_TESTS[name.removeprefix("not_")]
    part = ascii_lower(_filter_text(wanted))

    def check(value: Json, call: Call) -> Ternary:
        text = value if type(value) is str else text_of_property(value)
        return unusable if text is None else test(ascii_lower(text), part) is not negated

    return check


def _contains_any(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    negated, unusable = name.startswith("not_"), unusable_value(key)
    choices = wanted if isinstance(wanted, list) else [wanted]
    parts = [ascii_lower(_filter_text(each)) for each in choices]

    def check(value: Json, call: Call) -> Ternary:
        text = text_of_property(value)
        if text is None:
            return unusable
        folded = ascii_lower(text)
        return any(part in folded for part in parts) is not negated

    return check


def _pattern(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    negated, unusable = name == "not_regex", unusable_value(key)
    search = pattern_check(_filter_text(wanted))
    if isinstance(search, str):
        raise _Unusable(search)
    if search is None:
        # An invalid pattern matches nothing, and its negation matches nothing either.
        return lambda value, call: False
    find = search

    def check(value: Json, call: Call) -> Ternary:
        text = text_of_property(value)
        if text is None:
            return unusable
        found = find(text)
        return found is not negated if isinstance(found, bool) else unsupported(found)

    return check


# Numbers.

#: What the server's number parser accepts.
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)",
    re.IGNORECASE | re.ASCII,
)
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def number_of(value: Json) -> float | None:
    """The number that a value is or spells, or None."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def _comparison(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    compare, bound = _COMPARISONS[name], _filter_number(wanted)

    def check(value: Json, call: Call) -> Ternary:
        number = number_of(value)
        return False if number is None else compare(number, bound)

    return check


def _between(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    if not isinstance(wanted, list) or len(wanted) != 2:
        raise _Unusable(f"{name} needs two numbers")
    low, high = (_filter_number(each) for each in wanted)
    if low > high:
        raise _Unusable(f"{name} needs its smaller number first")
    negated = name == "not_between"

    def check(value: Json, call: Call) -> Ternary:
        number = number_of(value)
        if number is None or math.isnan(number):
            return False
        return (low <= number <= high) is not negated

    return check


# Versions and dates.


def _version(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    check = semver_check(name, _filter_text(wanted))
    if isinstance(check, str):
        raise _Unusable(check)
    unusable = unusable_value(key)

    def on_value(value: Json, call: Call) -> Ternary:
        text = text_of_property(value)
        if text is None:
            return unusable
        outcome = check(text)
        return outcome if isinstance(outcome, bool) else Unknown(Reason.MISSING_CONTEXT, outcome)

    return on_value


def _date(name: str, wanted: Json, key: str, matching_version: int) -> Check:
    if not isinstance(wanted, str):
        return lambda value, call: False
    check = date_check(name, wanted)
    if isinstance(check, str):
        raise _Unusable(check)

    def on_value(value: Json, call: Call) -> Ternary:
        outcome = check(value, call.now_ms)
        if isinstance(outcome, bool):
            return outcome
        return Unknown(Reason.MISSING_CONTEXT, f"property {key!r}: {outcome}")

    return on_value


def _filter_text(value: Json) -> str:
    text = text_of_filter(value)
    if text is None:
        raise _Unusable("a number that is not finite")
    return text


def _filter_number(value: Json) -> float:
    number = number_of(value)
    if number is None or not math.isfinite(number):
        raise _Unusable(f"{value!r} is not a finite number")
    return number


_OPERATORS: dict[str, Callable[[str, Json, str, int], Check]] = {
    **dict.fromkeys(("exact", "is_not"), _equality),
    **{f"{no}{name}": _text for name in _TEXT_TESTS for no in ("", "not_")},
    **dict.fromkeys(("icontains_multi", "not_icontains_multi"), _contains_any),
    **dict.fromkeys(("regex", "not_regex"), _pattern),
    **dict.fromkeys(_COMPARISONS, _comparison),
    **dict.fromkeys(("between", "not_between"), _between),
    **dict.fromkeys((f"semver_{n}" for n in ("eq", "neq", "gt", "gte", "lt", "lte")), _version),
    **dict.fromkeys(("semver_tilde", "semver_caret", "semver_wildcard"), _version),
    **dict.fromkeys(("is_date_before", "is_date_after", "is_date_exact"), _date),
}
#: The operators whose answer depends on the time at which they are asked.
DATE_OPERATORS = frozenset({"is_date_before", "is_date_after", "is_date_exact"})
