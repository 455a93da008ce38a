"""Every page that asks about many events at once, under its path.

Owns the paths alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.ui.insights import console, experiments, funnels, paths, retention, saved, trends
from posthog_local.ui.insights.desk import Desk

_Page: TypeAlias = Callable[[Desk, Request], Awaitable[Response]]


def insight_routes(desk: Desk) -> list[Route]:
    """Every page of insights."""

    def at(path: str, page: _Page, *methods: str) -> Route:
        async def handler(request: Request) -> Response:
            return await page(desk, request)

        return Route(path, handler, methods=list(methods) or None)

    return [
        at("/sql", console.sql_page),
        at("/insights", trends.trends_page),
        at("/funnels", funnels.funnels_page),
        at("/funnels/persons", funnels.persons_page),
        at("/retention", retention.retention_page),
        at("/paths", paths.paths_page),
        at("/experiments", experiments.experiments_page),
        at("/saved", saved.saved_page),
        at("/saved/save", saved.save, "POST"),
        at("/saved/delete", saved.delete, "POST"),
    ]
