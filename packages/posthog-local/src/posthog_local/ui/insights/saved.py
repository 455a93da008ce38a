"""Saved charts: the list, keeping one, forgetting one.

Owns which pages' questions can be kept. What is kept is the address, under a name.
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from posthog_local.store import shelves
from posthog_local.ui.forms import first, form_fields, see_other
from posthog_local.ui.insights.desk import Desk

#: The pages whose questions can be kept, with what they are called.
KINDS = {
    "/insights": "trend",
    "/funnels": "funnel",
    "/retention": "retention",
    "/paths": "paths",
    "/experiments": "experiment",
    "/sql": "SQL",
}
_MAX_NAME = 200
_MAX_ADDRESS = 20_000


async def saved_page(desk: Desk, request: Request) -> Response:
    """Every saved chart."""
    found = await desk.store.read(lambda view: shelves.charts.charts(view.connection))
    return desk.page("saved.html", request, charts=found, kinds=KINDS)


async def save(desk: Desk, request: Request) -> Response:
    """Keeps a chart."""
    fields = await form_fields(request)
    name, address = first(fields, "name").strip(), first(fields, "address")
    if not name or len(name) > _MAX_NAME or len(address) > _MAX_ADDRESS:
        return Response(f"a chart needs a name of at most {_MAX_NAME} characters", 400)
    if address.partition("?")[0] not in KINDS:
        return Response("this is no page whose question can be kept", 400)
    await desk.store.change(shelves.charts.save(name, address, time.time_ns() // 1000))
    return see_other("/saved")


async def delete(desk: Desk, request: Request) -> Response:
    """Forgets a chart."""
    text = first(await form_fields(request), "id")
    if text.isascii() and text.isdigit() and len(text) < 16:
        await desk.store.change(shelves.charts.delete(int(text)))
    return see_other("/saved")
