"""The page of retention.

Owns its form and the table's shades.
"""

from __future__ import annotations

from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from posthog_local.query.period import Interval
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.returns import Mean, Retention, Row, means_of
from posthog_local.ui.chart import chart_of
from posthog_local.ui.insights.asked import Asked
from posthog_local.ui.insights.desk import Desk

_INTERVALS: tuple[Interval, ...] = get_args(Interval)
_ROWS = (4, 8, 12, 15, 31)


async def retention_page(desk: Desk, request: Request) -> Response:
    """Answers what the address asks."""
    asked, insights = Asked(request.query_params), desk.insights()
    rows, means, error = list[Row](), list[Mean](), ""
    interval = asked.choice("interval", _INTERVALS, "day")
    usual = Retention()
    count = asked.choice("rows", _ROWS, usual.rows)
    first_time = asked.text("kind") == "first"
    try:
        retention = Retention(
            begin=asked.text("event") or None,
            back=asked.text("back") or None,
            where=asked.parts(),
            interval=interval,
            rows=count,
            first_time=first_time,
        )
        rows = await insights.rows(retention)
        means = means_of(rows)
    except QueryRefused as refused:
        error = str(refused)
    anybody = any(row.persons for row in rows)
    line = [("of those who began", [100.0, *[round(one.share * 100, 1) for one in means]])]
    return desk.page(
        "retention.html",
        request,
        error=error,
        rows=rows if anybody else [],
        means=means,
        columns=count - 1,
        began=sum(row.persons for row in rows),
        chart=chart_of(line, [f"{interval} {n}" for n in range(len(means) + 1)]),
        event=asked.text("event"),
        back=asked.text("back"),
        interval=interval,
        count=count,
        first_time=first_time,
        formats={"hour": "%d %b %H:%M", "month": "%b %Y"},
        choices={"interval": _INTERVALS, "rows": _ROWS},
        **await desk.form(request),
    )
