"""Filters of events: lines over properties of events and persons, as SQL for the warehouse.

Owns what each operator means there. A property that is not there satisfies what says "not", as at
PostHog. Text is compared as text; where the wanted value is a number, numbers of the same size are
the same. Values never become part of the SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import msgspec

from posthog_local.flags.dates import filter_time_us
from posthog_local.query.refusal import QueryRefused

Of: TypeAlias = Literal["event", "person"]
_COLUMNS: dict[Of, str] = {"event": "properties", "person": "person_properties"}
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_EPOCH = datetime(1970, 1, 1)  # the warehouse keeps UTC without saying so
_MAX_DEPTH = 20


class Property(msgspec.Struct, frozen=True):
    """A property, of events or of the persons that they belong to now."""

    name: str
    of: Of = "event"

    @property
    def column(self) -> str:
        """The warehouse's column that holds it."""
        return _COLUMNS[self.of]

    @property
    def path(self) -> str:
        """Where it is in that column: a JSON pointer, which any name can stand in."""
        return "/" + self.name.replace("~", "~0").replace("/", "~1")

    def __str__(self) -> str:
        return self.name if self.of == "event" else f"person.{self.name}"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a filter."""

    of: Property
    operator: str = "exact"
    value: Any = None


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """Persons that are in a cohort, or that are not."""

    number: int
    inside: bool = True


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that somebody wrote in PostHog's SQL, translated."""

    condition: Condition


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """All of these, or any."""

    parts: tuple[Part, ...] = ()
    any: bool = False


Part: TypeAlias = Line | Cohort | Written | Group
Cohorts: TypeAlias = Mapping[int, Mapping[str, Any]]


class Condition(msgspec.Struct, frozen=True):
    """SQL that is true or false for a row, with its values, and whether it asks for the person."""

    sql: str = "true"
    values: tuple[Any, ...] = ()
    person: bool = False


#: What holds for every event.
ALL = Condition()


def condition(parts: Sequence[Part], now: datetime, cohorts: Cohorts) -> Condition:
    """What must hold for all of the parts to hold. May raise `QueryRefused`."""
    return _group(Group(parts=tuple(parts)), now, cohorts, _MAX_DEPTH)


def of_event(name: str | None, parts: Sequence[Part], now: datetime, cohorts: Cohorts) -> Condition:
    """What must hold for an event of this name (any, if None) and of these parts."""
    rest = condition(parts, now, cohorts)
    return rest if name is None else both(Condition("event = ?", (name,)), rest)


def both(one: Condition, other: Condition) -> Condition:
    """What holds when both do."""
    if other.sql == "true":
        return one
    if one.sql == "true":
        return other
    return Condition(
        f"{one.sql} AND {other.sql}", one.values + other.values, one.person or other.person
    )


def view_for(*, person: bool, person_id: bool = False) -> str:
    """The warehouse's view that joins no more than is asked for."""
    if person:
        return "events_with_person"
    return "events_of_person" if person_id else "events"


def _part(part: Part, now: datetime, cohorts: Cohorts, depth: int) -> Condition:
    match part:
        case Line():
            return _line(part, now)
        case Cohort():
            return _cohort(part, now, cohorts, depth)
        case Written(condition=written):
            return written
        case Group():
            return _group(part, now, cohorts, depth)


def _group(group: Group, now: datetime, cohorts: Cohorts, depth: int) -> Condition:
    if depth == 0:
        raise QueryRefused(f"the filter is nested more than {_MAX_DEPTH} deep")
    found = [_part(one, now, cohorts, depth - 1) for one in group.parts]
    if not found:
        return Condition()
    word = " OR " if group.any else " AND "
    sql = word.join(one.sql for one in found)
    return Condition(
        f"({sql})" if len(found) > 1 else sql,
        tuple(value for one in found for value in one.values),
        any(one.person for one in found),
    )


def _cohort(part: Cohort, now: datetime, cohorts: Cohorts, depth: int) -> Condition:
    cohort = cohorts.get(part.number)
    if cohort is None or depth <= 1:
        raise QueryRefused(f"cohort {part.number} is not there, or refers to itself")
    ids = cohort.get("distinct_ids")
    if ids is not None:
        # Whoever has one of these ids is in it, under every other id too.
        found = Condition(
            "person_id IN (SELECT person_id FROM links WHERE list_contains(?, distinct_id))",
            (list(ids),), person=True)  # fmt: skip
    else:
        found = _group(_group_of(cohort), now, cohorts, depth - 1)
    if part.inside:
        return found
    return Condition(f"NOT coalesce({found.sql}, false)", found.values, found.person)


def _group_of(node: Mapping[str, Any]) -> Group:
    """A cohort's definition as a filter of persons."""
    parts = [_part_of(one) for one in node.get("values", ())]
    return Group(parts=tuple(parts), any=node.get("type") == "OR")


def _part_of(node: Mapping[str, Any]) -> Part:
    if "values" in node:
        return _group_of(node)
    negated, operator = bool(node.get("negation")), node.get("operator") or "exact"
    if node.get("type") == "cohort":
        return Cohort(
            number=_number_of(node.get("value")), inside=(operator == "not_in") == negated
        )
    line = Line(
        of=Property(str(node.get("key")), "person"), operator=operator, value=node.get("value")
    )
    return Group(parts=(_opposite(line),)) if negated else line


def _opposite(line: Line) -> Line:
    for one, other in _OPPOSITES.items():
        if line.operator in (one, other):
            return Line(
                of=line.of, operator=other if line.operator == one else one, value=line.value
            )
    raise QueryRefused(f"the operator {line.operator!r} cannot be negated here")


def _number_of(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1


def _line(line: Line, now: datetime) -> Condition:
    operator = _ALIASES.get(line.operator, line.operator)
    positive = _OPPOSITE_OF.get(operator, operator)
    test = _TESTS.get(positive)
    if test is None:
        known = ", ".join(OPERATORS)
        raise QueryRefused(f"there is no operator {line.operator!r} here; there are {known}")
    text = f"json_extract_string({line.of.column}, ?)"
    sql, values = test(text, line, now)
    if positive != operator:
        sql = f"NOT coalesce({sql}, false)"
    return Condition(sql, values, line.of.of == "person")


_Made: TypeAlias = tuple[str, tuple[Any, ...]]
_Test: TypeAlias = Callable[[str, Line, datetime], _Made]


def _exact(text: str, line: Line, _now: datetime) -> _Made:
    wanted = [_text(one) for one in _listed(line.value)]
    numbers = [float(one) for one in wanted if _DECIMAL.fullmatch(one)]
    sql, values = f"list_contains(?, {text})", (wanted, line.of.path)
    if not numbers:
        return sql, values
    path = line.of.path
    typed = f"json_type({line.of.column}, ?) IN ('UBIGINT', 'BIGINT', 'DOUBLE')"
    same = f"list_contains(?, TRY_CAST({text} AS DOUBLE))"
    return f"({sql} OR {typed} AND {same})", (*values, path, numbers, path)


def _any_of(made: str) -> _Test:
    """Whether the text, in small letters, and any wanted text are as `made` says."""

    def test(text: str, line: Line, _now: datetime) -> _Made:
        wanted = [_text(one) for one in _listed(line.value)]
        parts = [made.format(text=f"lower({text})") for _ in wanted]
        values = tuple(value for one in wanted for value in (line.of.path, one))
        return f"({' OR '.join(parts) or 'false'})", values

    return test


def _regex(text: str, line: Line, _now: datetime) -> _Made:
    return f"regexp_matches({text}, ?)", (line.of.path, _text(line.value))


def _compared(sign: str) -> _Test:
    def test(text: str, line: Line, _now: datetime) -> _Made:
        return f"TRY_CAST({text} AS DOUBLE) {sign} ?", (line.of.path, _number(line, line.value))

    return test


def _between(text: str, line: Line, _now: datetime) -> _Made:
    bounds = _listed(line.value)
    if len(bounds) != 2:
        raise QueryRefused(f"{line.operator} on {line.of} takes two numbers: [5, 10]")
    low, high = (_number(line, one) for one in bounds)
    return f"TRY_CAST({text} AS DOUBLE) BETWEEN ? AND ?", (line.of.path, low, high)


def _is_set(text: str, line: Line, _now: datetime) -> _Made:
    return f"{text} IS NOT NULL", (line.of.path,)


def _dated(sign: str) -> _Test:
    def test(text: str, line: Line, now: datetime) -> _Made:
        at_us = filter_time_us(line.value, now.astimezone(UTC))
        if at_us is None:
            raise QueryRefused(
                f"{line.operator} on {line.of} takes a day or a time ago: 2026-01-31 or -7d"
            )
        moment = _EPOCH + timedelta(microseconds=at_us)
        return f"TRY_CAST({text} AS TIMESTAMP) {sign} ?", (line.of.path, moment)

    return test


def _number(line: Line, value: object) -> float:
    try:
        return float(_text(value))
    except ValueError:
        raise QueryRefused(f"{line.operator} on {line.of} takes a number, not {value!r}") from None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_TESTS: dict[str, _Test] = {
    "exact": _exact,
    "icontains": _any_of("contains({text}, lower(?))"),
    "starts_with": _any_of("starts_with({text}, lower(?))"),
    "ends_with": _any_of("ends_with({text}, lower(?))"),
    "regex": _regex,
    "gt": _compared(">"),
    "gte": _compared(">="),
    "lt": _compared("<"),
    "lte": _compared("<="),
    "between": _between,
    "is_set": _is_set,
    "is_date_before": _dated("<"),
    "is_date_after": _dated(">"),
}
# Other names of the same.
_ALIASES = {
    "in": "exact",
    "not_in": "is_not",
    "icontains_multi": "icontains",
    "not_icontains_multi": "not_icontains",
}
# What holds when the other does not, a property that is not there included.
_OPPOSITES = {
    "exact": "is_not",
    "icontains": "not_icontains",
    "starts_with": "not_starts_with",
    "ends_with": "not_ends_with",
    "regex": "not_regex",
    "between": "not_between",
    "is_set": "is_not_set",
}
_OPPOSITE_OF = {other: one for one, other in _OPPOSITES.items()}
#: Every operator, as PostHog calls them.
OPERATORS = tuple(name for one in _TESTS for name in (one, _OPPOSITES.get(one)) if name)
