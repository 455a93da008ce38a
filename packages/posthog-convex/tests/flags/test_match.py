"""Each operator says what PostHog's server says: rows are (operator, filter, value, outcome)."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_convex.flags.definitions import PropertyFilter
from posthog_convex.flags.match import compile_property
from posthog_convex.flags.verdict import Call, Reason, Unknown

MISSING = object()
UNDECIDED = "undecided"

TABLE: list[tuple[str, Any, Any, Any]] = [
    ("exact", "Pro", "pRO", True),
    ("exact", ["a", "PRO"], "pro", True),
    ("exact", 5, "5", True),
    ("exact", "5", 5.0, True),
    ("exact", "5.5", 5.5, True),
    ("exact", True, "TRUE", True),
    ("exact", "false", "banana", True),
    ("exact", "false", None, True),
    ("exact", [], "true", True),
    ("exact", {"a": 1}, {"a": 1}, True),
    ("exact", None, None, False),
    ("is_not", None, "x", False),
    ("is_not", "x", None, True),
    ("is_not", "x", MISSING, UNDECIDED),
    ("icontains", "EX", "example", True),
    ("icontains", "Ä", "ä", False),
    ("not_icontains", "x", "abc", True),
    ("starts_with", "1", 10, True),
    ("not_ends_with", "null", None, False),
    ("icontains_multi", ["zz", "AB"], "cab", True),
    ("not_icontains_multi", ["zz", "ab"], "cab", False),
    ("regex", r"^a\.b$", "a.b", True),
    ("regex", "b$", "b\n", False),
    ("regex", "(", "(", False),
    ("not_regex", "(", "x", False),
    ("regex", r"(?i)x", "x", UNDECIDED),
    ("regex", "(a+)+$", "a", UNDECIDED),
    ("regex", ".*.*.*x", "a" * 5000, UNDECIDED),
    ("gt", "9", "10", True),
    ("gt", 9, "ten", False),
    ("gt", 9, True, False),
    ("lte", "1e1", 10, True),
    ("lt", "x", 1, UNDECIDED),
    ("between", [1, "5"], 5, True),
    ("not_between", [1, 5], "nan", False),
    ("between", [5, 1], 3, UNDECIDED),
    ("between", [3, 3], 3, True),
    ("is_set", None, None, True),
    ("is_set", None, MISSING, UNDECIDED),
    ("is_not_set", None, 1, False),
    ("is_not_set", None, MISSING, UNDECIDED),
    ("semver_gt", "1.2", "v1.2.1", True),
    ("semver_eq", "3.8", "3.08", True),
    ("semver_lt", "1.0.0", "1.0.0-alpha", True),
    ("semver_gt", "1.0.0-alpha.2", "1.0.0-alpha.10", True),
    ("semver_neq", "1.0.0", "no version", False),
    ("semver_eq", "1.0.0", "1.0.0+build", UNDECIDED),
    ("semver_tilde", "1.2.3", "1.2.9", True),
    ("semver_tilde", "1.2.3", "1.3.0", False),
    ("semver_caret", "0.2.3", "0.3.0", False),
    ("semver_caret", "0.0.3", "0.0.3", True),
    ("semver_caret", "1.2.3", "1.9.0-beta", False),
    ("semver_wildcard", "1.2.*", "1.2.7", True),
    ("semver_wildcard", "*", "7.0.0", True),
    ("semver_wildcard", "1.*.3", "1.2.3", UNDECIDED),
    ("is_date_before", "2024-01-01", "2023-06-01", True),
    ("is_date_after", "2024-01-01", "2024-01-01T05:00:00Z", UNDECIDED),
    ("is_date_after", "2024-01-01", "2024-01-02T05:00:00Z", True),
    ("is_date_after", "2001-09-09T01:46:39Z", 1_000_000_000, True),
    ("is_date_exact", "2001-09-09T01:46:40Z", "1000000000", True),
    ("is_date_before", "2024-01-01", True, False),
    ("is_date_before", "2024-01-01", "last week", UNDECIDED),
    ("is_date_before", "-7d", "2024-01-01T00:00:00Z", True),
    ("is_date_after", "2w", "2024-02-28T00:00:00Z", True),
    ("is_date_before", "-1m", "2024-01-31T23:59:59Z", True),
    ("is_date_before", "99999d", "2024-01-01", UNDECIDED),
    ("sounds_like", "x", "x", UNDECIDED),
]
#: 2024-03-10T12:00:00Z
NOW_MS = 1_710_072_000_000.0


def outcome(operator: str, wanted: Any, value: Any, version: int = 1) -> Any:
    properties = {} if value is MISSING else {"p": value}
    matcher = compile_property(PropertyFilter("p", "person", operator, wanted), version)
    if not isinstance(matcher, Unknown):
        matcher_outcome = matcher(properties, Call("u", properties, {}, {}, NOW_MS, {}))
        return UNDECIDED if isinstance(matcher_outcome, Unknown) else matcher_outcome
    return UNDECIDED


@pytest.mark.parametrize(("operator", "wanted", "value", "expected"), TABLE)
def test_operator(operator: str, wanted: Any, value: Any, expected: Any) -> None:
    assert outcome(operator, wanted, value) == expected


def test_the_second_way_of_matching_compares_booleans_as_text() -> None:
    assert outcome("exact", "false", "banana", 2) is False
    assert outcome("exact", True, "True", 2) is True


def test_a_value_without_json_form_is_not_decided() -> None:
    assert outcome("exact", "x", b"x") == UNDECIDED
    assert outcome("exact", "x", float("nan")) == UNDECIDED


def test_reasons_tell_the_definition_from_the_call() -> None:
    matcher = compile_property(PropertyFilter("p", "person", "sounds_like", 1), 1)
    assert isinstance(matcher, Unknown)
    assert matcher.reason is Reason.UNSUPPORTED_DEFINITION
    matcher = compile_property(PropertyFilter("p", "person", "exact", 1), 1)
    assert not isinstance(matcher, Unknown)
    missing = matcher({}, Call("u", {}, {}, {}, 0.0, {}))
    assert missing == Unknown(Reason.MISSING_CONTEXT, "property 'p' was not passed")


@pytest.mark.parametrize("kind", ["person_metadata", "event", "device", "new-thing"])
def test_types_that_callers_do_not_pass_need_the_server(kind: str) -> None:
    assert isinstance(compile_property(PropertyFilter("p", kind, "exact", 1), 1), Unknown)
