"""Outages: a receiver that is away, a server that is killed, a log that runs over."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from sys import executable
from typing import Any

import pytest
from streaming import DEADLINE_S, Receiver, Streaming, on_a_server, until, write_app

from pyconvex.runlog.log import RunLog
from pyconvex.runlog.writer import Bounds
from pyconvex.server.keys import key_file


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def numbers(receiver: Receiver) -> list[int]:
    return [int(line.split()[0]) for line in receiver.lines]


def test_beyond_the_bound_the_oldest_go_and_the_stream_is_told_how_many(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Bounds(segment_bytes=16 * 1024, max_bytes=48 * 1024)
    monkeypatch.setattr("pyconvex.server.server.RunLog", partial(RunLog, bounds=small))

    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver, topics=["console"])
        receiver.answer = (503, {})
        total = 800  # more than a batch that is under way has
        for n in range(total):
            await it.say(f"{n} " + "x" * 300)
        await it.server._run_log.sweep()
        lost = (await it.delivery(id))["dropped"]
        assert lost > 0
        receiver.answer = (200, {})
        await until(lambda: numbers(receiver)[-1:] == [total - 1])
        news = receiver.of
        await until(
            lambda: (
                [e["total_dropped_events"] for e in news("log_stream_events_dropped")][-1:]
                == [lost]
            )
        )
        assert sum(e["dropped_events"] for e in news("log_stream_events_dropped")) == lost
        assert len(news("log_stream_events_dropped")) <= 2, "once a sweep, not once a segment"
        arrived = numbers(receiver)
        assert all(a < b for a, b in pairwise(arrived)), "in order, each once"
        # What was under way when the log was swept arrives although it was counted.
        assert total - lost <= len(arrived) < total

    on_a_server(tmp_path, test)


# A server that is killed


@contextmanager
def started(folder: Path, seen: list[Popen[str]]) -> Iterator[Callable[..., Any]]:
    """`pyconvex start` on the data folder; asks it, with the admin key where a path is given."""
    program = "from pyconvex.cli import main; main(prog_name='pyconvex')"
    options = ("--data", str(folder / "data"), "--port", "0", "--isolates", "1", "--json")
    deploys = ("--functions", str(folder / "convex"))
    process = Popen(
        [executable, "-c", program, "start", *options, *deploys],
        cwd=folder, stdout=PIPE, stderr=DEVNULL, text=True,
    )  # fmt: skip
    seen.append(process)
    try:
        assert process.stdout is not None
        told = (json.loads(line) for line in process.stdout)
        url = next(fact["url"] for fact in told if "url" in fact)
        key = key_file(folder / "data").read_text().strip()

        def ask(path: str, body: Any = None) -> Any:
            headers = {"content-type": "application/json", "authorization": f"Convex {key}"}
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(url + path, data, headers)
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                content = answer.read()
            return json.loads(content) if content else None

        yield ask
    finally:
        process.kill()
        process.communicate()


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def say(ask: Callable[..., Any], number: int) -> None:
    body = {"path": "shop:say", "args": {"text": f"{number} said"}, "format": "json"}
    assert ask("/api/mutation", body)["status"] == "success"


def test_a_killed_server_sends_what_it_had_written_and_goes_on(
    tmp_path: Path, receiver: Receiver
) -> None:
    write_app(tmp_path)
    processes: list[Popen[str]] = []
    log = tmp_path / "data" / "runlog"
    with started(tmp_path, processes) as ask:
        settings = {"logStreamType": "webhook", "url": receiver.url, "format": "json",
                    "topics": ["console"]}  # fmt: skip
        made = ask("/api/v1/create_log_stream", settings)
        receiver.secret = made["hmacSecret"]
        status = f"/api/v1/get_log_stream/{made['id']}"
        wait_for(lambda: ask(status)["status"]["type"] == "active")
        for n in range(5):
            say(ask, n)
        wait_for(lambda: len(receiver.lines) == 5)
        receiver.answering.clear()  # from here on nobody answers
        for n in range(5, 30):
            say(ask, n)
        # A line that nobody waits for is on the disk within some hundredths of a second.
        wait_for(lambda: any(b"29 said" in f.read_bytes() for f in log.glob("*.runs")))
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
    receiver.answering.set()
    with started(tmp_path, processes) as ask:
        say(ask, 30)
        wait_for(lambda: 30 in numbers(receiver))
        first_of_each = list(dict.fromkeys(numbers(receiver)))
        assert first_of_each == list(range(31)), "nothing is lost, the order is kept"
        assert ask(status)["status"] == {"type": "active"}
        overview = ask("/api/pyconvex/log_streams")
        assert overview["streams"][0]["delivery"]["dropped"] == 0
