"""PostHog's `EventsQuery`: rows of events, with the columns that were asked for.

Owns how the node is read, the SQL that it becomes, and how whole events and persons are put back
together in an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from posthog_local.api.nodes import Dates, parts_of
from posthog_local.query.analyst import Analyst
from posthog_local.query.console import answer, counts_events
from posthog_local.query.filters import Cohorts, Condition, both, condition, of_event
from posthog_local.query.period import plain

_WHOLE = ("uuid", "event", "properties", "timestamp", "distinct_id", "elements_chain", "created_at")
_PERSON = ("distinct_id", "person_id", "person.created_at", "person.properties")
_DEFAULT_ROWS = 100
_DISPLAY = "coalesce(person.properties.email, person.properties.name, distinct_id)"
# Events that come from clocks a little ahead are seen too, as at PostHog.
_AHEAD = timedelta(seconds=5)

_Fold: TypeAlias = Callable[[Sequence[Any]], Any]


class EventsNode(msgspec.Struct, frozen=True):
    """The fields of an `EventsQuery`, as far as they are known here."""

    select: tuple[str, ...] = ()
    where: tuple[str, ...] | None = None
    properties: Any = None
    fixed: Any = msgspec.field(name="fixedProperties", default=None)
    event: str | None = None
    events: tuple[str, ...] | None = None
    person: str | None = msgspec.field(name="personId", default=None)
    action: int | None = msgspec.field(name="actionId", default=None)
    source: Any = None
    before: str | None = None
    after: str | None = None
    order: tuple[str, ...] | None = msgspec.field(name="orderBy", default=None)
    limit: int | None = None
    offset: int | None = None


async def event_rows(
    node: EventsNode, analyst: Analyst, cohorts: Cohorts, now: datetime
) -> dict[str, Any]:
    """The fields of the answer; `ValueError` or `QueryRefused` says what is not understood."""
    for name, value in (("actionId", node.action), ("source", node.source)):
        if value is not None:
            raise ValueError(f"{name} of an EventsQuery is not supported; events and filters are")
    raw = node.select or ("*",)
    columns = [_column(one) for one in raw]
    limit, offset = _DEFAULT_ROWS if node.limit is None else node.limit, node.offset or 0
    if limit < 1 or offset < 0:
        raise ValueError("limit is a number from 1 on, offset one from 0 on")
    text = _sql(node, columns, raw)
    filtered = _filtered(node, cohorts, now)
    found = await answer(analyst, f"{text} LIMIT {limit} OFFSET {offset}", {}, filtered)
    return {
        "results": [_row(row, columns) for row in found.results],
        "columns": list(raw),
        "types": [kind for _, kind in found.types] if len(found.types) == len(raw) else [],
        "hogql": text,
        "hasMore": found.has_more,
        "limit": found.limit,
        "offset": found.offset,
    }


class _Column(msgspec.Struct, frozen=True):
    """What is selected for one column, and how it becomes one value."""

    parts: tuple[str, ...]
    fold: _Fold


def _column(raw: str) -> _Column:
    # What stands behind two dashes is what people see of it.
    text = raw.split("--")[0].strip()
    match text:
        case "*":
            return _Column(_WHOLE, _whole)
        case "person":
            return _Column(_PERSON, _person)
        case "person_display_name":
            return _Column((_DISPLAY, "person_id", "distinct_id"), _display)
        case _:
            return _Column((text,), lambda values: values[0])


def _sql(node: EventsNode, columns: Sequence[_Column], raw: Sequence[str]) -> str:
    parts = [part for column in columns for part in column.parts]
    counting = [part for part in parts if counts_events(part)]
    wheres = {one: counts_events(one) for one in node.where or ()}
    where = ["{filters}", *(f"({one}\n)" for one, counts in wheres.items() if not counts)]
    text = " ".join(["SELECT", ", ".join(parts), "FROM events WHERE", " AND ".join(where)])
    if counting:
        text += " GROUP BY ALL"
    if having := [f"({one}\n)" for one, counts in wheres.items() if counts]:
        text += f" HAVING {' AND '.join(having)}"
    if node.order is not None:
        order = [_DISPLAY if "person_display_name" in one else one.split("--")[0].strip()
                 for one in node.order]  # fmt: skip
    elif counting:
        order = [f"{'count()' if 'count()' in counting else counting[0]} DESC"]
    else:
        whole = "*" in raw or "timestamp" in parts
        order = ["timestamp DESC" if whole else f"{parts[0]} ASC"]
    return f"{text} ORDER BY {', '.join(order)}" if order else text


def _filtered(node: EventsNode, cohorts: Cohorts, now: datetime) -> Condition:
    time = Dates(date_from=node.after or "-24h", date_to=node.before).bounds(now)
    end = time.end if node.before else plain(now) + _AHEAD
    found = Condition("timestamp >= ? AND timestamp < ?", (time.begin, end))
    names = [one for one in (node.event, *(node.events or ())) if one]
    if len(names) == 1:
        found = both(found, of_event(names[0], (), now, cohorts))
    elif names:
        found = both(found, Condition("list_contains(?, event)", (names,)))
    if node.person is not None:
        found = both(found, Condition("person_id = ?", (node.person,), True))
    parts = (*parts_of(node.properties), *parts_of(node.fixed))
    return both(found, condition(parts, now, cohorts))


def _row(row: Sequence[Any], columns: Sequence[_Column]) -> list[Any]:
    values, at = list[Any](), 0
    for column in columns:
        values.append(column.fold(row[at : at + len(column.parts)]))
        at += len(column.parts)
    return values


def _whole(values: Sequence[Any]) -> dict[str, Any]:
    event = dict(zip(_WHOLE, values, strict=True))
    return {**event, "properties": msgspec.json.decode(event["properties"])}


def _person(values: Sequence[Any]) -> dict[str, Any]:
    distinct_id, uuid, created_at, properties = values
    if created_at is None:
        return {"distinct_id": distinct_id}
    return {
        "uuid": uuid,
        "created_at": created_at,
        "properties": msgspec.json.decode(properties or "{}"),
        "distinct_id": distinct_id,
    }


def _display(values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(("display_name", "id", "distinct_id"), values, strict=True))
