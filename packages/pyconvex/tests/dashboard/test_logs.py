"""The logs page and what it follows, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
import pytest
from test_runs import record
from visiting import Visitor

from pyconvex.dashboard import logs
from pyconvex.runlog import ExceptionReport, Frame, LogLine, Report

FRAME = Frame(
    file="/x/orders.py",
    function="place",
    line=7,
    in_app=True,
    module="orders",
    source="    raise OutOfStock(item)",
    before=("def place(item):",),
)
CAUSE = ExceptionReport(id="0", type="KeyError", message="'teapot'", frames=(FRAME,))
ERROR = ExceptionReport(
    id="1", type="OutOfStock", message="<b>teapot</b>", module="orders", frames=(FRAME,),
    cause=CAUSE, cause_named=True, notes=("look behind the mugs",), data=b'{"code":1}',
)  # fmt: skip


@pytest.fixture
def visitor() -> Visitor:
    visitor = Visitor()
    visitor.sign_in()
    return visitor


def test_the_page_shows_what_is_known(visitor: Visitor) -> None:
    line = LogLine("WARN", "<script>alert(1)</script>", 0.0, path="users:get", component="auth")
    visitor.recent.add(record(lines=(line,), user_id="ada&co"))
    page = visitor.get("/dashboard/logs").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "auth/users:get" in page
    assert 'href="/dashboard/logs?user=ada%26co"' in page
    assert 'href="/dashboard/logs?request=r1"' in page


def test_an_error_has_its_frames_causes_notes_and_data(visitor: Visitor) -> None:
    encoded = msgspec.msgpack.encode(ERROR)
    failed = record(error="Uncaught OutOfStock: <b>teapot</b>\n  File x")
    visitor.recent.add(msgspec.structs.replace(failed, report=Report(exception=encoded)))
    page = visitor.get("/dashboard/logs").text
    for text in (
        *(
            "Uncaught OutOfStock: &lt;b&gt;teapot&lt;/b&gt;</summary>",
            "orders:7",
            "def place(item)",
        ),
        *("<mark>    raise OutOfStock(item)</mark>", "look behind the mugs", "{&#34;code&#34;:1}"),
        *("The error above was the cause of this one", "KeyError"),
    ):
        assert text in page, text
    assert page.index("KeyError") < page.index("orders.OutOfStock")


def test_the_filter_chooses_history_and_what_is_followed(visitor: Visitor) -> None:
    for number in range(logs.HISTORY + 5):
        visitor.recent.add(record(request_id=f"r{number}", error="Uncaught X" if number else ""))
    assert visitor.get("/dashboard/logs").text.count('<li class="run ') == logs.HISTORY
    page = visitor.get("/dashboard/logs?text=uncaught&request=r9&level=error").text
    assert page.count('<li class="run ') == 1
    assert (
        f"stream?level=error&amp;text=uncaught&amp;request=r9&amp;after={visitor.recent.cursor}"
        in page
    )


def test_an_empty_page_says_so(visitor: Visitor) -> None:
    assert "Nothing yet" in visitor.get("/dashboard/logs").text


# Following


class Following:
    """One open stream: its events as they come."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body

    async def next(self) -> dict[str, str]:
        """The next event's fields; comments are passed over."""
        while True:
            fields: dict[str, str] = {}
            chunk = await asyncio.wait_for(anext(self._body), 30)
            for line in chunk.decode().splitlines():
                name, _, value = line.partition(":")
                fields[name] = fields.get(name, "") + value.removeprefix(" ")
            if fields.get("data") is not None:
                return fields


def follow(
    visitor: Visitor,
    path: str,
    story: Callable[[Following], Coroutine[Any, Any, None]],
    **headers: str,
) -> None:
    """Open a stream and tell a story with it; what the ASGI server would do is done here."""
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    sent = {"cookie": cookie, "host": "127.0.0.1:3210", **headers}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()],
    }

    async def told() -> None:
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        gone = asyncio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200
            else:
                chunks.put_nowait(message["body"])
                if not message.get("more_body"):
                    chunks.put_nowait(None)

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def body() -> AsyncIterator[bytes]:
            while (chunk := await chunks.get()) is not None:
                yield chunk

        serving = asyncio.create_task(visitor.dashboard(scope, receive, send))
        await story(Following(body()))
        gone.set()
        await serving

    asyncio.run(told())


def test_what_happens_is_told_with_the_cursor_behind_it(visitor: Visitor) -> None:
    async def story(following: Following) -> None:
        visitor.recent.add(record(request_id="r-one", lines=(LogLine("LOG", "a\nb", 0.0),)))
        event = await following.next()
        assert "r-one" in event["data"]
        assert event["id"] == str(visitor.recent.cursor)
        visitor.recent.add(record(request_id="r-two"))
        assert "r-two" in (await following.next())["data"]

    follow(visitor, f"/dashboard/logs/stream?after={visitor.recent.cursor}", story)


def test_who_comes_back_is_told_the_rest_once(visitor: Visitor) -> None:
    cursors = []
    for number in range(3):
        visitor.recent.add(record(request_id=f"r-{number}"))
        cursors.append(visitor.recent.cursor)

    async def story(following: Following) -> None:
        data = (await following.next())["data"]
        assert ("r-0" in data, "r-1" in data, "r-2" in data) == (False, True, True)

    # The browser's own header counts, not the address that it first asked for.
    follow(visitor, "/dashboard/logs/stream?after=0", story, last_event_id=str(cursors[0]))


def test_what_can_not_be_followed_is_said(visitor: Visitor) -> None:
    start = visitor.recent.cursor

    async def flood(following: Following) -> None:
        for number in range(logs.MAX_RUNS_A_MESSAGE + 7):
            visitor.recent.add(record(request_id=f"r-{number}"))
        event = await following.next()
        assert (event["event"], event["data"]) == ("skipped", "7")
        data = (await following.next())["data"]
        assert data.count('<li class="run ') == logs.MAX_RUNS_A_MESSAGE
        assert 'r-6"' not in data

    follow(visitor, f"/dashboard/logs/stream?after={start}", flood)

    async def late(following: Following) -> None:
        event = await following.next()
        assert event["event"] == "forgotten"

    follow(visitor, f"/dashboard/logs/stream?after={start - 1000}", late)


def test_only_what_the_filter_admits_is_followed(visitor: Visitor) -> None:
    async def story(following: Following) -> None:
        visitor.recent.add(record(request_id="r-quiet"))
        visitor.recent.add(record(request_id="r-loud", error="Uncaught X"))
        assert "r-quiet" not in (await following.next())["data"]

    follow(visitor, f"/dashboard/logs/stream?level=error&after={visitor.recent.cursor}", story)


def test_following_ends_with_the_session_and_with_the_server(visitor: Visitor) -> None:
    async def signed_out(following: Following) -> None:
        visitor.recent.add(record(request_id="r-before"))
        await following.next()
        visitor.clock.now_s += 13 * 3600
        visitor.recent.add(record(request_id="r-after"))
        with pytest.raises(StopAsyncIteration):
            await following.next()

    follow(visitor, f"/dashboard/logs/stream?after={visitor.recent.cursor}", signed_out)
    visitor.sign_in()

    async def closed(following: Following) -> None:
        visitor.recent.close()
        with pytest.raises(StopAsyncIteration):
            await following.next()

    follow(visitor, "/dashboard/logs/stream", closed)


def test_pages_that_follow_are_bounded(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_FOLLOWING", 0)
    assert visitor.ask("GET", "/dashboard/logs/stream").status_code == 503
