"""Charts of rows of numbers and of query results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.ui.chart import BOTTOM, HEIGHT, LEFT, WIDTH, chart_of, chart_of_table


@given(
    st.integers(1, 40).flatmap(
        lambda size: st.lists(
            st.lists(st.floats(0, 1e9), min_size=size, max_size=size), min_size=1, max_size=8
        )
    ),
    st.booleans(),
)
def test_everything_is_drawn_inside(rows: list[list[float]], bars: bool) -> None:
    labels = [str(number) for number in range(len(rows[0]))]
    chart = chart_of([(str(n), row) for n, row in enumerate(rows)], labels, bars=bars)
    assert len(chart.labels) <= 8
    for line in chart.lines:
        for point in line.points.split():
            x, y = map(float, point.split(","))
            assert LEFT <= x <= WIDTH
            assert 0 <= y <= HEIGHT - BOTTOM
        for bar in line.bars if bars else ():
            assert bar.height >= 0
            assert bar.x + bar.width <= WIDTH


@pytest.mark.parametrize(
    ("rows", "drawn"),
    [
        ([["a", 1, "x"], ["b", None, "y"]], ["n"]),
        ([["a", "x", "y"]], None),
        ([], None),
        ([["a", True, "x"]], None),
    ],
)
def test_columns_of_numbers_become_lines(rows: list[list[object]], drawn: object) -> None:
    chart = chart_of_table(["label", "n", "text"], rows, "bars")
    assert (None if chart is None else [line.name for line in chart.lines]) == drawn
