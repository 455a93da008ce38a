"""SIGTERM while functions run: what was acknowledged stays, nothing is half done, it ends soon."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cli_process import DEADLINE_S, Running
from websockets.sync.client import connect

Start = Callable[..., Running]
START = ("start", "--functions", "convex", "--port", "0", "--isolates", "2", "--json")

APP = """
import asyncio
from pyconvex import *

@mutation
async def add(ctx: MutationCtx, n: int) -> int:
    await ctx.db.insert("pairs", {"n": n, "side": "left"})
    await ctx.db.insert("pairs", {"n": n, "side": "right"})
    return n

@query
async def pairs(ctx: QueryCtx) -> list[list[object]]:
    return [[row["n"], row["side"]] for row in await ctx.db.query("pairs").collect()]

@action
async def slow(ctx: ActionCtx, seconds: float) -> str:
    await ctx.run_mutation(add, -1)
    await asyncio.sleep(seconds)
    await ctx.run_mutation(add, -2)
    return "done"
"""
#: In an action this is for ever: longer than the ten seconds that a stop waits.
FOR_EVER_S = 3600.0


@pytest.fixture
def server(tmp_path: Path, running: Start) -> Callable[[], tuple[Running, str]]:
    """Starts the deployment, in the same folder each time."""
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "lib.py").write_text(APP)

    def server() -> tuple[Running, str]:
        started = running(tmp_path, *START)
        url = started.wait_for("url")
        ask(url, "query", "pairs")  # it serves
        return started, url

    return server


def ask(url: str, kind: str, function: str, **args: Any) -> Any:
    body = {"path": f"lib:{function}", "args": args, "format": "json"}
    answer = httpx2.post(f"{url}/api/{kind}", json=body, timeout=DEADLINE_S).json()
    assert answer["status"] == "success", answer
    return answer["value"]


def sides(url: str) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for n, side in ask(url, "query", "pairs"):
        found.setdefault(int(n), set()).add(side)
    return found


def test_under_load(server: Callable[[], tuple[Running, str]]) -> None:
    started, url = server()
    numbers, acknowledged, asked = itertools.count(1), set[int](), set[int]()
    enough = threading.Event()

    def load() -> None:
        with httpx2.Client(timeout=DEADLINE_S) as client:
            while True:
                n = next(numbers)
                asked.add(n)
                body = {"path": "lib:add", "args": {"n": n}}
                try:
                    answer = client.post(f"{url}/api/mutation", json=body)
                except httpx2.TransportError:
                    return  # it accepts nobody any more
                if answer.status_code != 200:
                    return
                acknowledged.add(n)
                if len(acknowledged) > 100:
                    enough.set()

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert enough.wait(DEADLINE_S)
    assert started.stop(signal.SIGTERM) == 0
    for thread in threads:
        thread.join(DEADLINE_S)
    assert started.err == []

    _, url = server()
    kept = sides(url)
    assert acknowledged <= kept.keys() <= asked
    assert {frozenset(both) for both in kept.values()} == {frozenset({"left", "right"})}


def test_what_is_under_way_is_finished(server: Callable[[], tuple[Running, str]]) -> None:
    started, url = server()
    answers: list[Any] = []
    calling = threading.Thread(
        target=lambda: answers.append(ask(url, "action", "slow", seconds=0.5))
    )
    calling.start()
    until(lambda: -1 in sides(url))
    assert started.stop(signal.SIGTERM) == 0
    calling.join(DEADLINE_S)
    assert answers == ["done"]
    _, url = server()
    assert sides(url).keys() == {-1, -2}


def test_what_does_not_end_is_left(server: Callable[[], tuple[Running, str]]) -> None:
    started, url = server()

    answers: list[httpx2.Response] = []

    def call() -> None:
        body = {"path": "lib:slow", "args": {"seconds": FOR_EVER_S}}
        answers.append(httpx2.post(f"{url}/api/action", json=body, timeout=DEADLINE_S))

    calling = threading.Thread(target=call)
    calling.start()
    with connect(url.replace("http", "ws") + "/api/sync") as socket:
        socket.send(json.dumps({"type": "Connect", "sessionId": "0" * 32, "connectionCount": 0}))
        until(lambda: -1 in sides(url))
        assert started.stop(signal.SIGTERM) == 0
    calling.join(DEADLINE_S)
    assert not any("Traceback" in line for line in started.err), started.err
    assert any("Still busy after 10 s, so cut off: " in line for line in started.err)
    (answer,) = answers
    assert (answer.status_code, answer.json()["code"]) == (503, "ServerStopping")
    _, url = server()
    assert sides(url).keys() == {-1}


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
