"""Numbers become what an SVG draws: lines or bars, with labels below.

Owns the chart's own units. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

WIDTH, HEIGHT, LEFT, BOTTOM = 1000, 300, 60, 30
_RIGHT = 970  # room for half a label
_TOP = 10
_LABELS = 8
MAX_LINES = 6


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One bar."""

    x: float
    y: float
    width: float
    height: float


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """One row of numbers as it is drawn."""

    name: str
    points: str
    bars: tuple[Bar, ...]
    #: Which of the colours; from 1.
    colour: int
    #: How it was before, which stands behind what it is.
    earlier: bool = False


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a template needs to draw."""

    lines: tuple[Drawn, ...]
    labels: tuple[tuple[float, str], ...]
    top: float
    bars: bool


def chart_of(
    rows: Sequence[tuple[str, Sequence[float]]],
    labels: Sequence[str],
    *,
    bars: bool = False,
    earlier: Sequence[Sequence[float]] = (),
) -> Chart:
    """Named rows of numbers, one number a label; `earlier` holds how each row was before, if known.

    >>> chart = chart_of([("a", [0, 4])], ["x", "y"])
    >>> (chart.top, chart.lines[0].points)
    (4, '60.0,270.0 970.0,10.0')
    """
    # What is below zero is drawn at zero; the numbers beside the chart say how far.
    rows = [(name, [max(0, value) for value in values]) for name, values in rows[:MAX_LINES]]
    past = [
        (name, [max(0, value) for value in values])
        for (name, _), values in zip(rows, earlier, strict=False)
    ]
    top = _round(max((value for _, values in (*rows, *past) for value in values), default=0))
    count = len(labels)
    across = (_RIGHT - LEFT) / (count if bars else max(1, count - 1))
    scale = (HEIGHT - BOTTOM - _TOP) / (top if top > 0 else 1)
    every = max(1, -(-count // _LABELS))
    middle = across / 2 if bars else 0.0
    return Chart(
        lines=tuple(
            _drawn(name, values, (number, len(rows)), across, scale, earlier=behind)
            for drawn, behind in ((rows, False), (past, True))
            for number, (name, values) in enumerate(drawn)
            if values and not (bars and behind)
        ),
        labels=tuple(
            (LEFT + number * across + middle, text)
            for number, text in enumerate(labels)
            if number % every == 0
        ),
        top=top,
        bars=bars,
    )


def chart_of_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], how: str) -> Chart | None:
    """A query's result as a chart: its first column are labels, every column of numbers is a line.

    None when there is nothing to draw.
    """
    numbers = [
        at
        for at in range(1, len(columns))
        if rows and all(_is_number(row[at]) or row[at] is None for row in rows)
    ]
    if not numbers:
        return None
    lines = [(columns[at], [max(0, row[at] or 0) for row in rows]) for at in numbers]
    return chart_of(lines, [_label(row[0]) for row in rows], bars=how == "bars")


def _round(value: float) -> float:
    """The next number up that, and whose half, is short to read."""
    if value <= 0:
        return value
    size = 10.0 ** math.floor(math.log10(value))
    return next((one * size for one in (1, 2, 4, 6, 8, 10) if one * size >= value), value)


def _drawn(
    name: str,
    values: Sequence[float],
    place: tuple[int, int],
    across: float,
    scale: float,
    *,
    earlier: bool,
) -> Drawn:
    ground, (number, of) = HEIGHT - BOTTOM, place
    width = across * 0.8 / of
    return Drawn(
        name=name,
        colour=number + 1,
        earlier=earlier,
        points=" ".join(
            f"{LEFT + at * across:.1f},{ground - value * scale:.1f}"
            for at, value in enumerate(values)
        ),
        bars=tuple(
            Bar(
                x=round(LEFT + at * across + across * 0.1 + number * width, 1),
                y=round(ground - value * scale, 1),
                width=round(width * 0.92, 1),
                height=round(value * scale, 1),
            )
            for at, value in enumerate(values)
        ),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _label(value: object) -> str:
    text = "" if value is None else str(value)
    if text.endswith("T00:00:00.000000Z"):
        text = text[:10]
    return text if len(text) <= 14 else text[:13] + "…"
