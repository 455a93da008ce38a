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
#: A person who did nothing for longer than so many minutes has ended their visit, as at PostHog.
PAUSE_MINUTES = 30
PAUSE_US = PAUSE_MINUTES * 60_000_000
# Nobody does these: SDKs say them beside what somebody did.
_ASIDE = (
    *("$feature_flag_called", "$identify", "$set", "$create_alias", "$groupidentify"),
    *("$pageleave", "$web_vitals", "$$heatmap", "$opt_in"),
)
# A page by its path, a screen by its name, everything else by the event's. For speed: a path that
# begins with its slash is found in one pass, and `greatest`, which gives "/" where there is no
# path, names it once, where a condition would have it found twice.
_LABEL = (
    "CASE event"
    " WHEN '$pageview' THEN '$pageview ' || greatest('/', regexp_extract("
    "json_extract_string(properties, '/$current_url'), '^[a-z]+://[^/?#]*(/[^?#]*)?', 1))"
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
    hit, named, values = "begins", "", list[Any]()
    if paths.event is not None:
        hit, named = "named OR label = ?", ", event = ? AS named"
        values = [paths.event]
    sql = (
        f"WITH acted AS (SELECT person_id, timestamp AS moment, {_LABEL} AS label{named}"
        f" FROM {filters.view_for(person=where.person, person_id=True)} WHERE {where.sql}),"
        f" {ordered_sql(PAUSE_US, order)},"
        # Whether the steps may begin here, and whether it is another thing than the one before.
        f" marked AS (SELECT label, begins, ({hit})::INTEGER AS hit,"
        " (begins OR other)::INTEGER AS fresh FROM ordered),"
        " counted AS (SELECT *, sum(hit) OVER so_far AS hits, sum(fresh) OVER so_far AS things"
        f" FROM marked {SO_FAR}),"
        # Both sums only grow, so the greatest of those at begins is the one at the last begin.
        " begun AS (SELECT label, hit, fresh, things,"
        " hits - max(CASE WHEN begins THEN hits - hit END) OVER so_far AS since"
        f" FROM counted {SO_FAR}),"
        " placed AS (SELECT label, fresh, since, things"
        " - max(CASE WHEN since = 1 AND hit = 1 THEN things - fresh END) OVER so_far AS step"
        f" FROM begun {SO_FAR})"
        " SELECT step, label, count(*) FROM placed"
        f" WHERE since > 0 AND fresh = 1 AND step <= {STEPS} GROUP BY ALL"
    )
    return sql, [*values, *where.values, *values]


#: One pass over rows in their order, which needs no sorting of its own.
SO_FAR = "WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)"


def ordered_sql(pause_us: int, order: str = "ASC") -> str:
    """All that `acted` has, visit by visit: `begins` one, is `other` than what comes before.

    `acted` has person_id, moment and label; a longer pause than `pause_us` ends a visit. This is
    the one sort of the question: windows without an order of their own see the rows in this one,
    and are counted as they pass.
    """
    return (
        "sorted AS (SELECT * FROM acted"
        f" ORDER BY person_id, moment {order}, label {order}),"
        " ordered AS (SELECT *, label IS DISTINCT FROM lag(label) OVER () AS other,"
        " row_number() OVER () = 1 OR person_id IS DISTINCT FROM lag(person_id) OVER ()"
        " OR abs(epoch_us(moment) - epoch_us(lag(moment) OVER ()))"
        f" > {pause_us} AS begins FROM sorted)"
    )


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
