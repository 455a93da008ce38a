"""What a page's address asks: filters, a time, properties, as a form without code can send them.

Owns how these stand in an address and in a form's rows. A choice that does not exist falls back to
the usual one; what was meant and cannot be read is `QueryRefused`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import zip_longest
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import QueryParams

from posthog_local.query import period
from posthog_local.query.filters import OPERATORS, Cohort, Line, Part, Property
from posthog_local.query.period import Interval, Period
from posthog_local.query.refusal import QueryRefused

DAYS = (1, 7, 14, 30, 90, 180, 365)
_PERSON = "person."
_WITHOUT_VALUE = frozenset(["is_set", "is_not_set"])
_MAX_ROWS = 20

T = TypeVar("T")


class FilterRow(msgspec.Struct, frozen=True):
    """One row of the filters, as it stands in the form."""

    name: str = ""
    operator: str = "exact"
    value: str = ""


class TimeFields(msgspec.Struct, frozen=True, kw_only=True):
    """The time as it stands in the form: the last days, or from a day to a day."""

    days: int
    first: str = ""
    final: str = ""

    def period(self, now: datetime, interval: Interval = "day") -> Period:
        """The time that is meant."""
        if not self.first and not self.final:
            return period.last(self.days, now, interval)
        today = period.plain(now).date()
        final = _day(self.final) if self.final else today
        return period.between(_day(self.first) if self.first else final, final)


class Asked:
    """An address, read for its meaning."""

    def __init__(self, query: QueryParams) -> None:
        self._query = query

    def text(self, name: str) -> str:
        """A field without the space around it; empty when it is not there."""
        return self._query.get(name, "").strip()

    def texts(self, name: str) -> list[str]:
        """All fields of a name."""
        return [text.strip() for text in self._query.getlist(name)[:_MAX_ROWS]]

    def choice(self, name: str, choices: Sequence[T], usual: T) -> T:
        """The choice that is written so."""
        text = self.text(name)
        return next((one for one in choices if str(one) == text), usual)

    def property(self, name: str) -> Property | None:
        """A property by its name; one of persons begins with `person.`."""
        return property_of(self.text(name))

    def time(self, days: int = 30) -> TimeFields:
        """The time."""
        return TimeFields(
            days=self.choice("days", DAYS, days), first=self.text("from"), final=self.text("to")
        )

    def rows(self) -> tuple[FilterRow, ...]:
        """The rows of the filters that are filled."""
        found = zip_longest(
            self.texts("where"), self.texts("is"), self.texts("value"), fillvalue=""
        )
        return tuple(FilterRow(name, is_ or "exact", value) for name, is_, value in found if name)

    def cohort(self) -> str:
        """The number of the cohort whose persons are asked about, as text."""
        return self.text("cohort")

    def parts(self) -> tuple[Part, ...]:
        """What the filters mean."""
        lines: Iterable[Part] = map(_line, self.rows())
        number = self.cohort()
        if not number:
            return tuple(lines)
        if not (number.isascii() and number.isdigit() and len(number) < 16):
            raise QueryRefused(f"{number!r} is no cohort's number")
        return (*lines, Cohort(number=int(number)))


def property_of(text: str) -> Property | None:
    """The property that a field names; None for an empty one.

    >>> property_of("person.plan")
    Property(name='plan', of='person')
    """
    if text.startswith(_PERSON) and len(text) > len(_PERSON):
        return Property(text[len(_PERSON) :], "person")
    return Property(text) if text else None


def _line(row: FilterRow) -> Line:
    of = property_of(row.name)
    assert of is not None
    if row.operator not in OPERATORS:
        raise QueryRefused(f"there is no operator {row.operator!r}")
    value = None if row.operator in _WITHOUT_VALUE else _value(row.value)
    return Line(of=of, operator=row.operator, value=value)


def _value(text: str) -> Any:
    """A JSON list as itself; everything else is text."""
    if not text.startswith("["):
        return text
    try:
        return msgspec.json.decode(text, type=list[Any])
    except (msgspec.MsgspecError, RecursionError):
        return text


def _day(text: str) -> date:
    try:
        return period.day_of(text)
    except ValueError:
        raise QueryRefused(f"{text!r} is no day; write it as 2026-01-31") from None
