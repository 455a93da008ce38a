"""Each operator with present, missing and odd values, as the flags service treats them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_local.flags.definition import PropertyFilter
from posthog_local.flags.operators import OPERATOR_NAMES, UnknownOperator, matches

_NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def holds(operator: str, actual: object, wanted: object) -> bool:
    line = PropertyFilter(key="p", operator=operator, value=wanted)
    return matches(line, {"p": actual}, _NOW)


@pytest.mark.parametrize(
    ("operator", "actual", "wanted", "expected"),
    [
        ("exact", "Pro", "pro", True),
        ("exact", "pro", ["free", "PRO"], True),
        ("exact", 5, "5", True),
        ("exact", "pro", ["free"], False),
        ("exact", True, "true", True),
        ("exact", "banana", "false", True),
        ("exact", None, False, True),
        ("exact", "True", [True], True),
        ("exact", "anything", [], False),
        ("is_not", "pro", ["pro"], False),
        ("is_not", "x", "pro", True),
        ("icontains", "Ada@Example.com", "@example", True),
        ("not_icontains", "Ada@Example.com", "@example", False),
        ("icontains", "STRASSE", "straße", False),
        ("icontains_multi", "abc", ["x", "B"], True),
        ("not_icontains_multi", "abc", ["x", "B"], False),
        ("starts_with", "ABC", "ab", True),
        ("not_starts_with", "ABC", "ab", False),
        ("ends_with", "ABC", "bc", True),
        ("not_ends_with", "ABC", "x", True),
        ("in", "b", ["a", "b"], True),
        ("not_in", "b", ["a", "b"], False),
        ("regex", "abc", "^a.c$", True),
        ("regex", "abc", "(", False),
        ("not_regex", "abc", "(", False),
        ("not_regex", "abc", "x", True),
        ("gt", "10", "9", True),
        ("gt", 10, "9", True),
        ("gt", "ten", "9", False),
        ("lte", 3, 3, True),
        ("lt", True, 3, False),
        ("gte", "1_0", 3, False),
        ("between", 5, [1, 5], True),
        ("between", 5, [1], False),
        ("not_between", 6, ["1", "5"], True),
        ("is_set", None, None, True),
        ("is_not_set", None, None, False),
        ("is_date_before", "2026-03-30", "-1h", True),
        ("is_date_after", "2026-02-28T13:00:00Z", "-1m", True),
        ("is_date_before", "2026-02-28T11:00:00Z", "1m", True),
        ("is_date_after", 1_774_900_000, "-2d", True),
        ("is_date_after", "never", "-2d", False),
        ("is_date_exact", "2026-01-01", "2026-01-01T00:00:00Z", True),
        ("semver_gt", "1.10.0", "1.9", True),
        ("semver_lt", "1.0.0-rc.1", "1.0.0", True),
        ("semver_lt", "1.0.0-rc.2", "1.0.0-rc.10", True),
        ("semver_eq", "v01.2", "1.2.0", True),
        ("semver_neq", "1.2.1", "1.2.0", True),
        ("semver_neq", "none", "1.2.0", False),
        ("semver_tilde", "1.2.9", "~1.2.3", True),
        ("semver_tilde", "1.3.0", "1.2.3", False),
        ("semver_caret", "0.2.9", "^0.2.3", True),
        ("semver_caret", "0.3.0", "^0.2.3", False),
        ("semver_caret", "0.0.4", "^0.0.3", False),
        ("semver_caret", "1.9.0", "1.2.3", True),
        ("semver_wildcard", "1.2.9", "1.2.*", True),
        ("semver_wildcard", "2.0.0", "1.*", False),
        ("gt", 10**400, 1, False),
        ("is_date_before", 1.7e308, "-1d", False),
    ],
)
def test_present_values(operator: str, actual: object, wanted: object, expected: bool) -> None:
    assert holds(operator, actual, wanted) is expected


def test_a_missing_property_satisfies_negative_operators_alone() -> None:
    def missing(operator: str) -> bool:
        return matches(PropertyFilter(key="p", operator=operator, value="1"), {}, _NOW)

    true = {name for name in OPERATOR_NAMES if missing(name)}
    assert true == {
        "is_not", "not_icontains", "not_regex", "not_starts_with", "not_ends_with",
        "not_icontains_multi", "not_in", "not_between", "is_not_set",
    }  # fmt: skip


def test_an_unknown_operator_is_an_error_even_when_the_property_is_missing() -> None:
    with pytest.raises(UnknownOperator):
        matches(PropertyFilter(key="p", operator="like", value=1), {}, _NOW)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(operator=st.sampled_from(OPERATOR_NAMES), actual=_JSON, wanted=_JSON)
@settings(max_examples=1500, deadline=None)
def test_every_operator_answers_whatever_the_values_are(
    operator: str, actual: Any, wanted: Any
) -> None:
    assert holds(operator, actual, wanted) in (True, False)
