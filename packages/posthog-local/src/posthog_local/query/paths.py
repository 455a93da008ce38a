"""Paths: what persons did next, or before, step by step within a visit.

Owns the SQL of that question. A visit ends where a person does nothing for half an hour. The same
thing twice in a row is one step, and what SDKs report of themselves is none. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part
from posthog_local.query.period import Period

STEPS = 5
MAX_ROWS = 8
#: A person who did nothing for so many minutes has ended their visit, as at PostHog.
PAUSE_MINUTES = 30
# Nobody does these: SDKs say them beside what somebody did.
_ASIDE = (
    *("$feature_flag_called", "$identify", "$set", "$create_alias", "$groupidentify"),
    *("$pageleave", "$web_vitals", "$$heatmap", "$opt_in"),
)
# A page by its path, a screen by its name, everything else by the event's.
_LABEL = (
    "CASE event"
    " WHEN '$pageview' THEN '$pageview ' || coalesce(nullif(regexp_extract("
    "json_extract_string(properties, '/$current_url'), '^[a-z]+://[^/?#]*([^?#]*)', 1), ''), '/')"
    " WHEN '$screen' THEN '$screen ' || coalesce(json_extract_string(properties,"
    " '/$screen_name'), '')"
    " ELSE event END"
)


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """The question: from what on (None: from the begin of a visit), or back from it.

    `event` is the name of an event, or a step as it is called: `$pageview /cart`.
    """

    event: str | None = None
    back: bool = False
    where: tuple[Part, ...] = ()


class Place(msgspec.Struct, frozen=True):
    """What was done at a step, in how many visits, and in which share of all that came so far."""

    label: str
    visits: int
    share: float


class PathStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: the most frequent things, how many visits did another, how many had ended."""

    places: tuple[Place, ...]
    other: int
    ended: int


def sql_of(paths: Paths, period: Period, now: datetime, cohorts: Cohorts) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (step's number, what was done, visits)."""
    time = Condition("timestamp >= ? AND timestamp < ?", (period.begin, period.end))
    done = Condition("NOT list_contains(?, event)", (list(_ASIDE),))
    where = filters.both(filters.both(time, done), filters.condition(paths.where, now, cohorts))
    order = "DESC" if paths.back else "ASC"
    begins, values = "true", list[Any]()
    if paths.event is not None:
        begins = "event = ? OR label = ?"
        values += [paths.event, paths.event]
    sql = (
        f"WITH acted AS (SELECT person_id, timestamp, event, {_LABEL} AS label"
        f" FROM {filters.view_for(person=where.person, person_id=True)} WHERE {where.sql}),"
        " paused AS (SELECT *, coalesce(epoch(timestamp) - epoch(lag(timestamp) OVER whole),"
        f" {PAUSE_MINUTES * 60} + 1) > {PAUSE_MINUTES * 60} AS pause FROM acted"
        " WINDOW whole AS (PARTITION BY person_id ORDER BY timestamp, label)),"
        " visits AS (SELECT *, sum(pause::INTEGER) OVER"
        " (PARTITION BY person_id ORDER BY timestamp, label ROWS UNBOUNDED PRECEDING) AS visit"
        " FROM paused),"
        f" begun AS (SELECT *, sum(({begins})::INTEGER) OVER way AS since,"
        " lag(label) OVER way AS before FROM visits"
        f" WINDOW way AS (PARTITION BY person_id, visit ORDER BY timestamp {order}, label {order}"
        " ROWS UNBOUNDED PRECEDING)),"
        " placed AS (SELECT label, row_number() OVER (PARTITION BY person_id, visit"
        f" ORDER BY timestamp {order}, label {order}) AS step FROM begun"
        " WHERE since > 0 AND before IS DISTINCT FROM label)"
        f" SELECT step, label, count(*) FROM placed WHERE step <= {STEPS}"
        " GROUP BY ALL"
    )
    return sql, [*where.values, *values]


def steps_of(rows: Sequence[tuple[Any, ...]]) -> list[PathStep]:
    """The steps, as far as any visit went.

    >>> first, second = steps_of([(1, "see", 4), (2, "pay", 3)])
    >>> (first.places[0].share, second.places[0].share, second.ended)
    (1.0, 0.75, 1)
    """
    found: dict[int, list[tuple[str, int]]] = {}
    for number, label, visits in rows:
        found.setdefault(number, []).append((label, visits))
    steps, whole = list[PathStep](), sum(visits for _, visits in found.get(1, ()))
    for number in sorted(found):
        places = sorted(found[number], key=lambda one: (-one[1], one[0]))
        here = sum(visits for _, visits in places)
        steps.append(
            PathStep(
                places=tuple(Place(name, n, n / whole) for name, n in places[:MAX_ROWS]),
                other=sum(visits for _, visits in places[MAX_ROWS:]),
                ended=whole - here,
            )
        )
    return steps
