"""Official clients page through a query: pages follow writes and keep their ends over a cut line.

The deployment in memory has no database to paginate, so these run against the whole server alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from driving import Client, ClientError
from serving import Line, Served, in_thread

from pyconvex.server import Server, Settings

APP = Path(__file__).parent / "paged_app"


@asynccontextmanager
async def paged() -> AsyncIterator[Served]:
    with tempfile.TemporaryDirectory() as data:
        async with Server(Settings(data=Path(data), port=0, isolates=1)) as server:
            await server.deploy(APP)
            yield Served(server.url, server.admin_key)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with in_thread(paged) as served:
        yield served


def opts(num_items: int, cursor: str | None = None, **more: Any) -> dict[str, Any]:
    return {"numItems": num_items, "cursor": cursor, **more}


def shows(client: Client, subscription: str, page: list[float]) -> dict[str, Any]:
    """Wait until a subscription shows this page."""
    line = client.wait_for(
        lambda line: (
            line.get("subscription") == subscription
            and (line.get("value") or {}).get("page") == page
        )
    )
    value: dict[str, Any] = line["value"]
    return value


def follow(client: Client, name: str, subscription: str, **options: Any) -> None:
    args = {"book": name, "paginationOpts": opts(**options)}
    client.do("subscribe", name=subscription, path="notes:page", args=args)


def test_a_page_keeps_its_ends_over_writes_and_a_cut_line(
    npm: Client, line: Line, name: str
) -> None:
    npm.call("httpMutation", "notes:add", book=name, numbers=[10, 20, 30, 40])
    follow(npm, name, "one", num_items=2)
    one = shows(npm, "one", [10, 20])
    assert one["isDone"] is False
    follow(npm, name, "two", num_items=2, cursor=one["continueCursor"])
    two = shows(npm, "two", [30, 40])
    npm.call("httpMutation", "notes:add", book=name, numbers=[15])
    grown = shows(npm, "one", [10, 15, 20])
    assert grown["continueCursor"] == one["continueCursor"]
    line.cut()
    npm.call("httpMutation", "notes:add", book=name, numbers=[16, 35])
    assert shows(npm, "one", [10, 15, 16, 20])["continueCursor"] == one["continueCursor"]
    assert shows(npm, "two", [30, 35, 40])["continueCursor"] == two["continueCursor"]
    fresh = npm.call("httpQuery", "notes:page", book=name, paginationOpts=opts(2))
    assert fresh["page"] == [10, 15]


def test_the_client_s_own_pagination_loads_and_splits_pages(
    npm: Client, line: Line, name: str
) -> None:
    npm.call("httpMutation", "notes:add", book=name, numbers=[10, 20, 30, 40, 50])
    watched = {"name": "all", "path": "notes:page", "args": {"book": name}}
    npm.do("subscribePages", initialNumItems=2, **watched)
    listed(npm, [10, 20], "CanLoadMore")
    npm.do("loadMore", name="all", numItems=2)
    listed(npm, [10, 20, 30, 40], "CanLoadMore")
    # Past twice the first page's size, the client splits it at our splitCursor.
    npm.call("httpMutation", "notes:add", book=name, numbers=[11, 12, 13])
    listed(npm, [10, 11, 12, 13, 20, 30, 40], "CanLoadMore")
    line.cut()
    npm.call("httpMutation", "notes:add", book=name, numbers=[14, 35])
    npm.call("httpMutation", "notes:remove", book=name, n=30)
    listed(npm, [10, 11, 12, 13, 14, 20, 35, 40], "CanLoadMore")
    npm.do("loadMore", name="all", numItems=2)
    listed(npm, [10, 11, 12, 13, 14, 20, 35, 40, 50], "Exhausted")
    npm.call("httpMutation", "notes:add", book=name, numbers=[60])
    listed(npm, [10, 11, 12, 13, 14, 20, 35, 40, 50, 60], "Exhausted")


def listed(client: Client, results: list[float], status: str) -> None:
    client.wait_for(
        lambda line: (
            line.get("pages") == "all" and (line["results"], line["status"]) == (results, status)
        )
    )


def test_pages_can_be_read_one_by_one(client: Client, name: str) -> None:
    client.call("httpMutation", "notes:add", book=name, numbers=[1, 2, 3, 4, 5])
    found, cursor, done = [], None, False
    while not done:
        page = client.call("httpQuery", "notes:page", book=name, paginationOpts=opts(2, cursor))
        found, cursor, done = [*found, *page["page"]], page["continueCursor"], page["isDone"]
    assert found == [1, 2, 3, 4, 5]


def test_a_foreign_cursor_is_an_error_on_which_clients_start_again(
    client: Client, name: str
) -> None:
    client.call("httpMutation", "notes:add", book=name, numbers=[1, 2])
    page = client.call("query", "notes:page", book=name, paginationOpts=opts(1))
    cursor = page["continueCursor"]
    with pytest.raises(ClientError) as caught:
        client.call("query", "notes:page", book="another", paginationOpts=opts(1, cursor))
    assert caught.value.name == "ConvexError"
    assert caught.value.data == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
