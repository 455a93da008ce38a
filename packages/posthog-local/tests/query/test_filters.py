"""Filters: what each operator lets through, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from eventtable import Event, EventTable
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.query.filters import (
    OPERATORS,
    Cohort,
    Cohorts,
    Group,
    Line,
    Part,
    Property,
    condition,
    view_for,
)
from posthog_local.query.refusal import QueryRefused

_NOW = datetime(2026, 1, 10, tzinfo=UTC)
_TABLE = EventTable()
_EVENTS = [
    Event("ada", "e", properties={"plan": "Pro", "n": 5, "ok": True, "at": "2026-01-02"},
          person={"email": "ada@x.io"}),
    Event("bob", "e", properties={"plan": "free", "n": 40.5, "a b": "x"}, person={"age": "30"}),
    Event("eve", "e", properties={"plan": None, "n": "5"}),
]  # fmt: skip


def passing(*parts: Part, cohorts: Cohorts | None = None) -> str:
    """Whose events pass, by their first letter."""
    where = condition(parts, _NOW, cohorts or {})
    sql = f"SELECT distinct_id FROM {view_for(person=where.person)} WHERE {where.sql} ORDER BY 1"
    return "".join(row[0][0] for row in _TABLE.ask((sql, list(where.values)), _EVENTS))


@pytest.mark.parametrize(
    ("name", "operator", "value", "who"),
    [
        ("plan", "exact", "Pro", "a"),
        ("plan", "exact", ["Pro", "free"], "ab"),
        ("plan", "is_not", "Pro", "be"),
        ("plan", "icontains", "PR", "a"),
        ("plan", "not_icontains", "r", "e"),
        ("plan", "starts_with", "fr", "b"),
        ("plan", "ends_with", ["o", "x"], "a"),
        ("plan", "regex", "^f", "b"),
        ("plan", "not_regex", "^f", "ae"),
        ("plan", "is_set", None, "ab"),
        ("plan", "is_not_set", None, "e"),
        ("n", "exact", 5, "ae"),
        ("n", "exact", "5.0", "a"),
        ("n", "exact", "40.50", "b"),
        ("n", "gt", 5, "b"),
        ("n", "gte", "5", "abe"),
        ("n", "lt", 6, "ae"),
        ("n", "lte", "4", ""),
        ("n", "between", [1, 5], "ae"),
        ("n", "not_between", [1, 5], "b"),
        ("ok", "exact", True, "a"),
        ("ok", "exact", "true", "a"),
        ("ok", "in", ["true"], "a"),
        ("ok", "not_in", ["true"], "be"),
        ("a b", "exact", "x", "b"),
        ("at", "is_date_after", "2026-01-01", "a"),
        ("at", "is_date_before", "-7d", "a"),
        ("at", "is_date_before", "-9d", ""),
        ("it's\"\\", "is_set", None, ""),
    ],
)
def test_operators(name: str, operator: str, value: Any, who: str) -> None:
    assert passing(Line(of=Property(name), operator=operator, value=value)) == who


def test_persons_have_properties_too() -> None:
    line = Line(of=Property("email", "person"), operator="icontains", value="X.IO")
    assert passing(line) == "a"
    assert passing(Line(of=Property("age", "person"), operator="gt", value=18)) == "b"


def test_groups_are_all_or_any() -> None:
    pro = Line(of=Property("plan"), value="Pro")
    five = Line(of=Property("n"), operator="lt", value=6)
    assert passing(pro, five) == "a"
    assert passing(Group(parts=(pro, five), any=True)) == "ae"
    assert passing(Group(parts=())) == "abe"


def test_cohorts_are_of_properties_or_of_ids() -> None:
    mail = {"key": "email", "type": "person", "operator": "is_set"}
    cohorts: Cohorts = {
        1: {"type": "OR", "values": [{"type": "AND", "values": [mail]}]},
        2: {"distinct_ids": ["eve", "gone"]},
        3: {"type": "AND", "values": [{"key": "id", "type": "cohort", "value": 1},
                                      {**mail, "negation": True}]},
        4: {"type": "AND", "values": [{"key": "id", "type": "cohort", "value": 4}]},
    }  # fmt: skip
    assert passing(Cohort(number=1), cohorts=cohorts) == "a"
    assert passing(Cohort(number=1, inside=False), cohorts=cohorts) == "be"
    assert passing(Cohort(number=2), cohorts=cohorts) == "e"
    assert passing(Cohort(number=3), cohorts=cohorts) == ""
    for number in (4, 5):
        with pytest.raises(QueryRefused, match="not there, or refers to itself"):
            passing(Cohort(number=number), cohorts=cohorts)


@pytest.mark.parametrize(
    ("operator", "value", "said"),
    [
        ("gt", "soon", "takes a number"),
        ("between", [1], "two numbers"),
        ("is_date_after", "soon", "2026-01-31 or -7d"),
        ("like", "x", "no operator 'like' here"),
    ],
)
def test_what_is_refused(operator: str, value: Any, said: str) -> None:
    with pytest.raises(QueryRefused, match=said):
        passing(Line(of=Property("n"), operator=operator, value=value))


@given(st.text(max_size=8), st.text(max_size=8), st.sampled_from(["exact", "icontains"]))
def test_any_text_is_a_value_and_never_sql(name: str, text: str, operator: str) -> None:
    events = [Event("a", "e", properties={name: text}), Event("b", "e")]
    where = condition((Line(of=Property(name), operator=operator, value=text),), _NOW, {})
    sql = f"SELECT distinct_id FROM events WHERE {where.sql}"
    assert _TABLE.ask((sql, list(where.values)), events) == [("a",)]


def test_every_operator_has_its_opposite_or_none() -> None:
    for operator in OPERATORS:
        if not operator.startswith(("not_", "is_not")) or operator == "is_not_set":
            continue
        missing = Line(of=Property("gone"), operator=operator, value=[1, 2])
        assert passing(missing) == "abe"
