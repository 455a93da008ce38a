"""The SQL console.

Owns its form, and an answer as rows or as a chart. What cannot be answered is said beside what was
asked.
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from posthog_local.query.console import answer, tables_beside
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.tables import TABLES
from posthog_local.ui.chart import chart_of_table
from posthog_local.ui.insights.asked import Asked
from posthog_local.ui.insights.desk import Desk

_EXAMPLE = (
    "SELECT event, count() AS events, uniq(person_id) AS persons\n"
    "FROM events\nWHERE timestamp > now() - INTERVAL 7 DAY\nGROUP BY event\nORDER BY events DESC"
)
_SHAPES = ("table", "lines", "bars")


async def sql_page(desk: Desk, request: Request) -> Response:
    """Answers what the address asks."""
    asked = Asked(request.query_params)
    text, shape = asked.text("q"), asked.choice("show", _SHAPES, "table")
    result, chart, error = None, None, ""
    started = time.perf_counter()
    try:
        result = await answer(desk.analyst, text) if text else None
    except QueryRefused as refused:
        error = str(refused)
    if result is not None and result.results and shape != "table":
        chart = chart_of_table(result.columns, result.results, shape)
        if chart is None:
            error = "a chart needs a column of labels, then columns of numbers"
    return desk.page(
        "sql.html",
        request,
        section="sql",
        text=text or _EXAMPLE,
        result=result,
        chart=chart,
        error=error,
        took_ms=round((time.perf_counter() - started) * 1000),
        shape=shape,
        shapes=_SHAPES,
        tables=TABLES,
        beside=tables_beside(desk.analyst).names,
    )
