"""PostHog's query nodes, read: what of them is known here, as the questions that it means.

Owns the fields, the dates and the filters of a node. What a node asks beyond what is here is
refused by name with `ValueError`, never read as if it had not been asked. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from posthog_local.query.console import written
from posthog_local.query.filters import (
    Cohort,
    Cohorts,
    Condition,
    Group,
    Line,
    Of,
    Part,
    Property,
    both,
    condition,
)
from posthog_local.query.pathlinks import Kind, PathLinks
from posthog_local.query.period import Interval, Period, day_of, floor, plain, shifted
from posthog_local.query.stickiness import Often

_AGO = re.compile(r"-(\d{1,4})([hdwmy])")
_STARTS: dict[str, Interval] = {"hStart": "hour", "dStart": "day", "wStart": "week",
                                "mStart": "month"}  # fmt: skip
#: How many hours each unit of a window has.
HOURS = {"second": 1 / 3600, "minute": 1 / 60, "hour": 1.0, "day": 24.0, "week": 168.0,
          "month": 720.0}  # fmt: skip
_MATHS = {None: "total", "dau": "persons", "unique_users": "persons", "unique_session": "sessions"}
_DAY = timedelta(days=1)
# Before every event.
_FIRST = datetime(1970, 1, 1)


class Dates(msgspec.Struct, frozen=True):
    """From when to when."""

    date_from: str | None = None
    date_to: str | None = None

    def bounds(self, now: datetime) -> Period:
        """The same to the moment: `2026-01-31` is its begin, and -24h is a day ago."""
        begin, end = self.date_from or "all", self.date_to
        return Period(
            _FIRST if begin == "all" else _exactly(begin, plain(now)),
            plain(now) if end is None else _exactly(end, plain(now)),
        )

    def period(self, now: datetime) -> Period:
        """The time that is meant, a week until now by default."""
        end = plain(now) if self.date_to is None else _end(self.date_to, plain(now))
        begin = _FIRST if self.date_from == "all" else _begin(self.date_from or "-7d", plain(now))
        if end <= begin:
            raise ValueError(f"date_to {self.date_to!r} is not after date_from {self.date_from!r}")
        return Period(begin, end)


class Entity(msgspec.Struct, frozen=True):
    """An event of a series, counted how, filtered by what."""

    kind: str = "EventsNode"
    event: str | None = None
    math: str | None = None
    math_property: str | None = None
    math_property_type: str | None = None
    name: str | None = None
    custom_name: str | None = None
    properties: Any = None

    @property
    def counted(self) -> str:
        """The math by our name."""
        return _MATHS.get(self.math) or str(self.math)

    @property
    def of(self) -> Property | None:
        """The property that the math is of."""
        if self.math_property is None:
            return None
        of_person = self.math_property_type == "person_properties"
        return Property(self.math_property, "person" if of_person else "event")


class _ByProperty(msgspec.Struct, frozen=True):
    property: str = ""
    type: str | None = "event"


class Breakdown(msgspec.Struct, frozen=True):
    """What lines are split by."""

    breakdown: Any = None
    breakdown_type: str | None = "event"
    breakdowns: tuple[_ByProperty, ...] | None = None

    @property
    def of(self) -> Property | None:
        """The one property that lines are split by, if they are."""
        if not self.breakdowns and self.breakdown is None:
            return None
        if self.breakdowns and len(self.breakdowns) > 1:
            raise ValueError("a breakdown is by one property")
        name, kind = self.breakdown, self.breakdown_type
        if self.breakdowns:
            name, kind = self.breakdowns[0].property, self.breakdowns[0].type
        if isinstance(name, list) and len(name) == 1:
            name = name[0]
        if not isinstance(name, str) or kind not in (None, "event", "person"):
            raise ValueError("a breakdown is by a property of the event or of the person")
        return Property(name, "person" if kind == "person" else "event")


class FunnelFields(msgspec.Struct, frozen=True):
    """What a funnel has beside its steps."""

    size: int = msgspec.field(name="funnelWindowInterval", default=14)
    unit: str = msgspec.field(name="funnelWindowIntervalUnit", default="day")
    order: str = msgspec.field(name="funnelOrderType", default="ordered")
    shape: str = msgspec.field(name="funnelVizType", default="steps")
    exclusions: Sequence[Any] | None = None

    @property
    def window_hours(self) -> float:
        """How long a person may take."""
        for name, value, known in (("funnelOrderType", self.order, "ordered"),
                                   ("funnelVizType", self.shape, "steps")):  # fmt: skip
            if value != known:
                raise ValueError(f"{name} {value!r} is not supported; {known!r} is")
        if self.exclusions:
            raise ValueError("exclusions of a funnel are not supported")
        unit = HOURS.get(self.unit)
        if unit is None or not 0 < self.size <= 1000:
            raise ValueError(f"the window {self.size} {self.unit} is not supported")
        return unit * self.size


class RetentionEntity(msgspec.Struct, frozen=True):
    """What begins, or what counts as coming back."""

    id: str | int | None = None
    type: str | None = "events"
    properties: Any = None


class RetentionFields(msgspec.Struct, frozen=True):
    """What a retention asks."""

    period: Literal["Hour", "Day", "Week", "Month"] = "Day"
    rows: int = msgspec.field(name="totalIntervals", default=7)
    kind: str = msgspec.field(name="retentionType", default="retention_recurring")
    begin: RetentionEntity = msgspec.field(
        name="targetEntity", default=RetentionEntity(id="$pageview")
    )
    back: RetentionEntity = msgspec.field(
        name="returningEntity", default=RetentionEntity(id="$pageview")
    )

    @property
    def interval(self) -> Interval:
        """The interval by our name."""
        names: dict[str, Interval] = {"Hour": "hour", "Day": "day", "Week": "week",
                                      "Month": "month"}  # fmt: skip
        return names[self.period]


class FormulaNode(msgspec.Struct, frozen=True):
    """A formula with a name of its own."""

    formula: str
    custom_name: str | None = None


class TrendFields(msgspec.Struct, frozen=True):
    """What a trend has beside its series."""

    formula: str | None = None
    formulas: tuple[str, ...] | None = None
    formula_nodes: tuple[FormulaNode, ...] | None = msgspec.field(name="formulaNodes", default=None)
    display: str | None = None

    @property
    def asked(self) -> tuple[FormulaNode, ...]:
        """Every formula; none for the series themselves."""
        if self.formula_nodes:
            return self.formula_nodes
        texts = self.formulas or ((self.formula,) if self.formula else ())
        return tuple(map(FormulaNode, texts))


class StickinessFields(msgspec.Struct, frozen=True):
    """What stickiness has beside its series."""

    computed_as: Literal["non_cumulative", "cumulative"] | None = msgspec.field(
        name="computedAs", default=None
    )
    often: Often | None = msgspec.field(name="stickinessCriteria", default=None)


class PathFields(msgspec.Struct, frozen=True):
    """What paths ask."""

    kinds: tuple[str, ...] | None = msgspec.field(name="includeEventTypes", default=None)
    start: str | None = msgspec.field(name="startPoint", default=None)
    end: str | None = msgspec.field(name="endPoint", default=None)
    excluded: tuple[str, ...] | None = msgspec.field(name="excludeEvents", default=None)
    groups: tuple[str, ...] | None = msgspec.field(name="pathGroupings", default=None)
    steps: int | None = msgspec.field(name="stepLimit", default=None)
    limit: int | None = msgspec.field(name="edgeLimit", default=None)
    fewest: int | None = msgspec.field(name="minEdgeWeight", default=None)
    most: int | None = msgspec.field(name="maxEdgeWeight", default=None)
    expression: str | None = msgspec.field(name="pathsHogQLExpression", default=None)
    cleaning: Sequence[Any] | None = msgspec.field(name="localPathCleaningFilters", default=None)

    def links(self, where: tuple[Part, ...]) -> PathLinks:
        """The question that is meant."""
        if self.expression or self.cleaning:
            name = "pathsHogQLExpression" if self.expression else "localPathCleaningFilters"
            raise ValueError(f"{name} is not supported; pathGroupings are")
        if self.start and self.end:
            raise ValueError("startPoint and endPoint are not supported together; each alone is")
        known: dict[str, Kind] = {"$pageview": "$pageview", "$screen": "$screen",
                                  "custom_event": "custom_event"}  # fmt: skip
        if unknown := [one for one in self.kinds or () if one not in known]:
            raise ValueError(
                f"paths of {unknown[0]!r} are not supported; of {', '.join(known)} are"
            )
        steps, limit = self.steps or 5, self.limit or 50
        if not (2 <= steps <= 20 and 1 <= limit <= 10_000):
            raise ValueError("stepLimit is 2 to 20, edgeLimit 1 to 10,000")
        return PathLinks(
            kinds=tuple(known[one] for one in self.kinds or ()),
            start=self.start,
            end=self.end,
            excluded=self.excluded or (),
            groups=self.groups or (),
            steps=steps,
            limit=limit,
            fewest=self.fewest,
            most=self.most,
            where=where,
        )


class SqlFilters(msgspec.Struct, frozen=True):
    """What fills `{filters}` in PostHog's SQL."""

    properties: Any = None
    dates: Dates | None = msgspec.field(name="dateRange", default=None)

    def condition(self, now: datetime, cohorts: Cohorts) -> Condition:
        """What must hold for an event. Without a date it is of any time."""
        found = condition(parts_of(self.properties), now, cohorts)
        if self.dates is None or not (self.dates.date_from or self.dates.date_to):
            return found
        period = self.dates.period(now)
        time = Condition("timestamp >= ? AND timestamp < ?", (period.begin, period.end))
        return both(time, found)


class Compare(msgspec.Struct, frozen=True):
    """Whether the time before is asked too."""

    compare: bool | None = False
    compare_to: str | None = None


class InsightNode(msgspec.Struct, frozen=True):
    """The fields that the nodes share, as far as they are known here."""

    kind: str
    series: tuple[Entity, ...] = ()
    interval: Interval = "day"
    dates: Dates | None = msgspec.field(name="dateRange", default=None)
    breakdown: Breakdown | None = msgspec.field(name="breakdownFilter", default=None)
    funnel: FunnelFields | None = msgspec.field(name="funnelsFilter", default=None)
    retention: RetentionFields | None = msgspec.field(name="retentionFilter", default=None)
    trend: TrendFields | None = msgspec.field(name="trendsFilter", default=None)
    compare: Compare | None = msgspec.field(name="compareFilter", default=None)
    stickiness: StickinessFields | None = msgspec.field(name="stickinessFilter", default=None)
    paths: PathFields | None = msgspec.field(name="pathsFilter", default=None)
    properties: Any = None
    group_type: int | None = msgspec.field(name="aggregation_group_type_index", default=None)
    status: str | None = None
    limit: int = 50

    @property
    def split_by(self) -> Property | None:
        """The property that lines are split by, if they are."""
        return (self.breakdown or Breakdown()).of

    def period(self, now: datetime) -> Period:
        """The time that is meant."""
        return (self.dates or Dates()).period(now)


def event_of(entity: Entity) -> str | None:
    """The event of a series, None for any."""
    if entity.kind != "EventsNode":
        raise ValueError(f"a series of kind {entity.kind!r} is not supported; EventsNode is")
    return entity.event


def day(begin: datetime, interval: Interval) -> str:
    """The begin of an interval as PostHog writes it."""
    return begin.isoformat(sep=" ") if interval == "hour" else begin.date().isoformat()


def parts_of(properties: Any) -> tuple[Part, ...]:
    """Filters as PostHog writes them: a list, or groups of AND and OR."""
    if properties is None:
        return ()
    if isinstance(properties, list):
        return tuple(map(_part, properties))
    return (_part(properties),)


def _part(node: Any) -> Part:
    if not isinstance(node, Mapping):
        raise ValueError(f"a filter is an object, not {node!r}")
    if "values" in node:
        if node.get("type") not in ("AND", "OR") or not isinstance(node["values"], list):
            raise ValueError("a group of filters has the type AND or OR, and a list of values")
        return Group(parts=tuple(map(_part, node["values"])), any=node["type"] == "OR")
    kind, operator = str(node.get("type") or "event"), node.get("operator") or "exact"
    if kind == "cohort":
        value = str(node.get("value"))
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 16 else -1
        return Cohort(number=number, inside=operator not in ("not_in", "is_not"))
    if kind == "hogql":
        return written(str(node.get("key")))
    kinds: dict[str, Of] = {"event": "event", "feature": "event", "person": "person"}
    if kind not in kinds:
        raise ValueError(
            f"filters by {kind!r} are not supported here; event, person, cohort and hogql are"
        )
    if not isinstance(node.get("key"), str) or not isinstance(operator, str):
        raise ValueError("a filter has the key of a property and the name of an operator")
    return Line(of=Property(node["key"], kinds[kind]), operator=operator, value=node.get("value"))


def _begin(text: str, now: datetime) -> datetime:
    if text in _STARTS:
        return floor(now, _STARTS[text])
    if text == "yStart":
        return floor(now, "month").replace(month=1)
    if (match := _AGO.fullmatch(text)) is not None:
        return _ago(now, int(match[1]), match[2])
    return _moment("date_from", text)


def _end(text: str, now: datetime) -> datetime:
    if (match := _AGO.fullmatch(text)) is not None:
        moment = _ago(now, int(match[1]), match[2])
        return moment if match[2] == "h" else moment + _DAY
    moment = _moment("date_to", text)
    return moment + _DAY if len(text) == len("2026-01-31") else moment


def _exactly(text: str, now: datetime) -> datetime:
    if (match := _AGO.fullmatch(text)) is not None:
        return _ago(now, int(match[1]), match[2])
    return _begin(text, now)


def _ago(now: datetime, count: int, unit: str) -> datetime:
    """So long ago: to the hour for hours, else from the begin of that day."""
    try:
        match unit:
            case "h":
                return now - timedelta(hours=count)
            case "d" | "w":
                return floor(now - timedelta(days=count * (7 if unit == "w" else 1)), "day")
            case _:
                months = count * (12 if unit == "y" else 1)
                begin = shifted(floor(now, "month"), "month", -months)
                last_day = (shifted(begin, "month", 1) - _DAY).day
                return begin.replace(day=min(now.day, last_day))
    except (OverflowError, ValueError):
        raise ValueError(f"-{count}{unit} is longer ago than the calendar goes") from None


def _moment(field: str, text: str) -> datetime:
    try:
        if len(text) == len("2026-01-31"):
            return datetime.combine(day_of(text), datetime.min.time())
        moment = datetime.fromisoformat(text)
        day_of(moment.date().isoformat())
    except ValueError:
        raise ValueError(f"{field} {text!r} is neither a day nor like -7d") from None
    return moment if moment.tzinfo is None else plain(moment)
