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
from posthog_local.query.paths import PAUSE_US, SO_FAR, ordered_sql
from posthog_local.query.period import Period

Kind: TypeAlias = Literal["$pageview", "$screen", "custom_event"]
_KINDS: dict[Kind, str] = {
    "$pageview": "event = '$pageview'",
    "$screen": "event = '$screen'",
    "custom_event": "NOT starts_with(event, '$')",
}
_SAID = (
    "CASE event WHEN '$pageview' THEN json_extract_string(properties, '/$current_url')"
    " WHEN '$screen' THEN json_extract_string(properties, '/$screen_name') ELSE event END"
)
# An address goes without a slash at its end.
_LABEL = (
    "CASE WHEN event = '$pageview' AND ends_with(said, '/') AND said <> '/' THEN left(said, -1)"
    " ELSE coalesce(said, '') END"
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
    points, aimed = "", " FROM placed"
    if _aim(asked) is not None:
        points = (
            " points AS (SELECT visit, min(place) AS point FROM placed WHERE label = ?"
            " GROUP BY visit),"
        )
        aimed = " FROM placed JOIN points USING (visit)"
    between, weights = _weighed(asked)
    sql = (
        f"WITH found AS (SELECT person_id, timestamp AS moment, event, {_SAID} AS said"
        f" FROM {filters.view_for(person=where.person, person_id=True)} WHERE {where.sql}),"
        f" labelled AS (SELECT person_id, moment, {_LABEL} AS raw FROM found),"
        f" acted AS (SELECT person_id, moment, {label} AS label FROM labelled"
        " WHERE NOT list_contains(?, label)),"
        f" {ordered_sql(PAUSE_US - 1)},"
        " visits AS (SELECT moment, label, sum(begins::INTEGER) OVER so_far AS visit,"
        f" coalesce(lead(other OR begins) OVER (), true) AS last FROM ordered {SO_FAR}),"
        " kept AS (SELECT visit, moment, label, row_number() OVER () AS number,"
        " visit IS DISTINCT FROM lag(visit) OVER () AS begins,"
        " lag(label) OVER () AS before, epoch(moment) - epoch(lag(moment) OVER ()) AS took"
        " FROM visits WHERE last AND label <> ''),"
        " placed AS (SELECT visit, label, before, took, number + 1"
        f" - max(CASE WHEN begins THEN number END) OVER so_far AS place FROM kept {SO_FAR}),"
        f"{points} counted AS (SELECT *, {_number(asked)} AS step{aimed}),"
        " linked AS (SELECT (step - 1) || '_' || before AS source, step || '_' || label AS target,"
        f" took FROM counted WHERE step BETWEEN 2 AND {asked.steps:d})"
        " SELECT source, target, count(*) AS visits, avg(took) FROM linked"
        f" GROUP BY ALL {between}"
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


def _number(asked: PathLinks) -> str:
    """The number of each step, from 1 to `steps` for those that count."""
    if _aim(asked) is None:
        return "place"
    if asked.end:
        # What comes after the end has a number beyond all that count.
        beyond = f"WHEN place > point THEN {asked.steps + 1:d}"
        return f"CASE {beyond} ELSE place - greatest(point - {asked.steps:d}, 0) END"
    return "place - point + 1"


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
