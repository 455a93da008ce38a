"""Paths as links: how many visits went from one step to another, as PostHog's API tells it.

Owns the SQL of that question and which of its links are kept. Pages go by their address and screens
by their name; of the same thing in a row the last counts; half an hour without anything begins a
new visit. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part
from posthog_local.query.paths import PAUSE_MINUTES
from posthog_local.query.period import Period

Kind: TypeAlias = Literal["$pageview", "$screen", "custom_event"]
_KINDS: dict[Kind, str] = {
    "$pageview": "event = '$pageview'",
    "$screen": "event = '$screen'",
    "custom_event": "NOT starts_with(event, '$')",
}
_LABEL = (
    "coalesce(CASE event WHEN '$pageview' THEN regexp_replace("
    "json_extract_string(properties, '/$current_url'), '(.)/$', '\\1')"
    " WHEN '$screen' THEN json_extract_string(properties, '/$screen_name')"
    " ELSE event END, '')"
)


class PathLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The question: which kinds of events (none for all), from or to which step, how many."""

    kinds: tuple[Kind, ...] = ()
    start: str | None = None
    end: str | None = None
    excluded: tuple[str, ...] = ()
    #: Steps that match such a pattern, with * for anything, go by the pattern.
    groups: tuple[str, ...] = ()
    steps: int = 5
    limit: int = 50
    fewest: int | None = None
    most: int | None = None
    where: tuple[Part, ...] = ()


class Link(msgspec.Struct, frozen=True):
    """From a step to the next, each with its number in front; how often, and how long it took."""

    source: str
    target: str
    visits: int
    took_s: float


def sql_of(
    asked: PathLinks, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (source, target, visits, mean seconds)."""
    where = filters.both(
        Condition("timestamp >= ? AND timestamp < ?", (period.begin, period.end)),
        filters.condition(asked.where, now, cohorts),
    )
    if asked.kinds:
        wanted = " OR ".join(_KINDS[kind] for kind in asked.kinds)
        where = filters.both(where, Condition(f"({wanted})"))
    label, values = _grouped(asked.groups)
    point, reached, number = _counted(asked)
    between, weights = _weighed(asked)
    sql = (
        f"WITH labelled AS (SELECT person_id, timestamp AS moment, {_LABEL} AS raw"
        f" FROM {filters.view_for(person=where.person, person_id=True)} WHERE {where.sql}),"
        f" acted AS (SELECT person_id, moment, {label} AS label FROM labelled"
        " WHERE NOT list_contains(?, label)),"
        " paused AS (SELECT *, coalesce(epoch(moment) - epoch(lag(moment) OVER whole), 1e9)"
        f" >= {PAUSE_MINUTES * 60} AS pause FROM acted"
        " WINDOW whole AS (PARTITION BY person_id ORDER BY moment, label)),"
        " visits AS (SELECT *, sum(pause::INTEGER) OVER"
        " (PARTITION BY person_id ORDER BY moment, label ROWS UNBOUNDED PRECEDING) AS visit"
        " FROM paused),"
        " ends AS (SELECT *, lead(label) OVER"
        " (PARTITION BY person_id, visit ORDER BY moment, label) AS after FROM visits),"
        " placed AS (SELECT person_id, visit, moment, label, row_number() OVER"
        " (PARTITION BY person_id, visit ORDER BY moment, label) AS place FROM ends"
        " WHERE after IS DISTINCT FROM label AND label <> ''),"
        f" aimed AS (SELECT *, {point} AS point FROM placed),"
        f" counted AS (SELECT *, {number} AS step FROM aimed WHERE {reached}),"
        " linked AS (SELECT lag(step || '_' || label) OVER way AS source,"
        " step || '_' || label AS target, epoch(moment) - epoch(lag(moment) OVER way) AS took"
        " FROM counted WINDOW way AS (PARTITION BY person_id, visit ORDER BY step))"
        " SELECT source, target, count(*) AS visits, avg(took) FROM linked"
        f" WHERE source IS NOT NULL GROUP BY ALL {between}"
        " ORDER BY visits DESC, source, target LIMIT ?"
    )
    aim = [] if _aim(asked) is None else [_aim(asked)]
    return sql, [*where.values, *values, list(asked.excluded), *aim, *weights, asked.limit]


def links_of(rows: Sequence[tuple[Any, ...]]) -> list[Link]:
    """The links that hang together with a first step, in the order in which they came.

    >>> [one.target for one in links_of([("1_a", "2_b", 3, 1.0), ("3_c", "4_d", 2, 1.0)])]
    ['2_b']
    """
    links = [Link(*row) for row in rows]
    reached = {one.source for one in links if one.source.startswith("1_")}
    while more := {one.target for one in links if one.source in reached} - reached:
        reached |= more
    return [one for one in links if one.source in reached]


def _aim(asked: PathLinks) -> str | None:
    """The step that paths begin with or lead to, as steps are called."""
    point = asked.end or asked.start
    return re.sub("(.)/$", r"\1", point) if point else None


def _counted(asked: PathLinks) -> tuple[str, str, str]:
    """Where in its visit the aim is, which steps count, and which number each of them has."""
    if _aim(asked) is None:
        return "1", f"place <= {asked.steps:d}", "place"
    point = "min(place) FILTER (label = ?) OVER (PARTITION BY person_id, visit)"
    if asked.end:
        reached = f"place <= point AND place > point - {asked.steps:d}"
        return point, reached, f"place - greatest(point - {asked.steps:d}, 0)"
    reached = f"place >= point AND place < point + {asked.steps:d}"
    return point, reached, "place - point + 1"


def _weighed(asked: PathLinks) -> tuple[str, list[int]]:
    parts, values = list[str](), list[int]()
    for sign, bound in ((">=", asked.fewest), ("<=", asked.most)):
        if bound is not None:
            parts.append(f"visits {sign} ?")
            values.append(bound)
    return (f"HAVING {' AND '.join(parts)}" if parts else ""), values


def _grouped(groups: Sequence[str]) -> tuple[str, list[str]]:
    if not groups:
        return "raw", []
    cases, values = "", list[str]()
    for group in groups:
        cases += " WHEN regexp_matches(raw, ?) THEN ?"
        values += [re.escape(group).replace(r"\*", ".*"), group]
    return f"CASE{cases} ELSE raw END", values
