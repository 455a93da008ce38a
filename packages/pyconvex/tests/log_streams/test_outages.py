"""Outages: a receiver that is away, a server that is killed, a log that runs over."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import random
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from sys import executable
from typing import Any

import pytest
from streaming import DEADLINE_S, Receiver, Streaming, on_a_server, until, write_app

from pyconvex.runlog.log import RunLog
from pyconvex.runlog.segment_file import SegmentFile
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
        assert (await it.delivery(id))["dropped"] > 0

        def lost() -> int:  # on a slow machine the server sweeps meanwhile, too
            cursor = it.server._run_log.cursor(f"|log_stream:{id}")
            return 0 if cursor is None else cursor.dropped

        receiver.answer = (200, {})
        await until(lambda: numbers(receiver)[-1:] == [total - 1])
        news = receiver.of
        await until(
            lambda: (
                [e["total_dropped_events"] for e in news("log_stream_events_dropped")][-1:]
                == [lost()]
            )
        )
        assert sum(e["dropped_events"] for e in news("log_stream_events_dropped")) == lost()
        assert len(news("log_stream_events_dropped")) <= 4, "once a sweep, not once a segment"
        arrived = numbers(receiver)
        assert all(a < b for a, b in pairwise(arrived)), "in order, each once"
        # What was under way when the log was swept arrives although it was counted.
        assert total - lost() <= len(arrived) < total

    on_a_server(tmp_path, test)


def test_a_full_disk_stops_no_function_and_what_it_cost_is_told_once_there_is_room(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = SegmentFile.append, False

    def append(segment: SegmentFile, data: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(segment, data)

    monkeypatch.setattr(SegmentFile, "append", append)

    async def test(it: Streaming) -> None:
        nonlocal full
        id = await it.add_webhook(receiver, topics=["console"])
        await it.say("0", "1")
        await until(lambda: receiver.lines == ["0", "1"])
        full = True
        await it.say("2", "3", "4")
        await until(lambda: it.server._run_log._writer.dropped == 3)
        for _ in range(3):  # news of the loss would be lost too, and counted
            it.server.host_events.look_at_minute()
        assert (await it.delivery(id))["dropped"] == 0
        full = False
        await it.say("5")
        await until(lambda: receiver.lines == ["0", "1", "5"])
        for _ in range(2):
            it.server.host_events.look_at_minute()
        await until(lambda: receiver.of("log_stream_events_dropped"))
        (news,) = receiver.of("log_stream_events_dropped")
        assert (news["dropped_events"], news["total_dropped_events"]) == (3, 3)
        assert "disk" in news["reason"]
        assert (await it.delivery(id))["dropped"] == 3

    on_a_server(tmp_path, test)


# What becomes of a backlog


def test_settings_that_change_while_a_backlog_waits_are_those_that_it_leaves_with(
    tmp_path: Path, receiver: Receiver
) -> None:
    other = Receiver()

    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver, topics=["console"])
        receiver.answer = (503, {})
        await it.say(*(f"{n}" for n in range(5)))
        while not (await it.delivery(id))["failedAttempts"]:
            await asyncio.sleep(0.05)
        _, rotated = await it.ask("POST", f"/api/v1/rotate_webhook_secret/{id}")
        other.secret = rotated["hmacSecret"]  # it takes nothing that the old one has signed
        moved = {"logStreamType": "webhook", "url": other.url, "format": "json"}
        await it.ask("POST", f"/api/v1/update_log_stream/{id}", moved)
        await it.until_state(id, "active")
        await it.say("5")
        await until(lambda: "5" in other.lines)
        assert other.lines == [f"{n}" for n in range(6)]
        assert receiver.lines == []
        while (fares := await it.delivery(id))["sent"] < 6:
            await asyncio.sleep(0.05)
        assert (fares["dropped"], fares["lastError"]) == (0, None)
        assert fares["failedAttempts"] > 0, "counts go on, whatever settings"

    try:
        on_a_server(tmp_path, test)
    finally:
        other.close()


def test_a_stream_that_is_deleted_and_added_again_begins_anew(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        first = await it.add_webhook(receiver, topics=["console"])
        receiver.answer = (503, {})
        await it.say("of the first")
        await until(lambda: receiver.requests > 1)
        status, _ = await it.ask("POST", f"/api/v1/delete_log_stream/{first}")
        assert status == 200
        await it.say("of nobody")
        written = it.server._run_log.folder
        await until(lambda: any(b"of nobody" in f.read_bytes() for f in written.glob("*.runs")))
        receiver.answer = (200, {})
        second = await it.add_webhook(receiver, topics=["console"])
        assert second != first
        await it.say("of the second")
        await until(lambda: receiver.lines)
        assert receiver.lines == ["of the second"]
        _, told = await it.ask("GET", "/api/pyconvex/log_streams")
        assert [stream["id"] for stream in told["streams"]] == [second]
        assert set(it.server._run_log._cursors._cursors) == {f"|log_stream:{second}"}

    on_a_server(tmp_path, test)


class Trouble(IntEnum):
    """What a receiver does with a request instead of taking it."""

    RESET = 1
    HALF_AN_ANSWER = 2
    NONSENSE = 3
    ENDLESS = 4


class BadReceiver:
    """Reads each request whole, and is in trouble as long as some is left."""

    def __init__(self, troubles: list[Trouble | bytes]) -> None:
        self.troubles = troubles
        self.lines: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._one(reader, writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        found = [json.loads(line) for line in (await reader.readexactly(size)).split(b"\n")]
        lines = [event["message"].strip("'") for event in found if event["topic"] == "console"]
        match self.troubles.pop(0) if lines and self.troubles else b"200 OK":
            case Trouble.RESET:
                writer.transport.abort()
                raise ConnectionResetError
            case Trouble.HALF_AN_ANSWER:
                self.lines += lines  # it has them, and nobody hears of it
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                raise ConnectionResetError
            case Trouble.NONSENSE:
                writer.write(b"\x16\x03\x01 what?\r\n\r\n")
                raise ConnectionResetError
            case Trouble.ENDLESS:
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
                    await writer.drain()
            case status:
                self.lines += lines if status.startswith(b"2") else []
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()


def test_whatever_a_receiver_does_nothing_is_lost_and_order_is_kept(tmp_path: Path) -> None:
    bad = BadReceiver(
        [
            Trouble.RESET,
            b"500 Oh\r\nRetry-After: 0",
            Trouble.NONSENSE,
            b"429 Slow\r\nRetry-After: Mon, 01 Jan 2001 00:00:00 GMT",
            Trouble.ENDLESS,
            b"503 Busy\r\nRetry-After: soon",
            Trouble.HALF_AN_ANSWER,
        ]
    )

    async def test(it: Streaming) -> None:
        server = await asyncio.start_server(bad.answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
        settings = {"url": url, "format": "jsonl", "topics": ["console"]}
        made = await it.create(logStreamType="webhook", **settings)
        await it.until_state(made["id"], "active")
        await it.say("0", "1")
        while left := len(bad.troubles):
            await until(lambda left=left: len(bad.troubles) < left)
            # Another secret ends the pause, which grows.
            await it.ask("POST", f"/api/v1/rotate_webhook_secret/{made['id']}")
        await it.say("2")
        await until(lambda: "2" in bad.lines)
        assert list(dict.fromkeys(bad.lines)) == ["0", "1", "2"]
        assert bad.lines.count("0") == 2, "the answer that was cut off came to nobody"
        fares = await it.delivery(made["id"])
        assert (fares["setAside"], fares["dropped"]) == (0, 0)
        # A new secret may end an attempt before it has failed.
        assert 1 <= fares["failedAttempts"] <= 7
        server.close()

    on_a_server(tmp_path, test)


# Processes that are killed


def test_a_lane_process_that_is_killed_again_and_again_loses_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    chance = random.Random(7)

    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=["console"])
        total = 0
        for more in chance.choices(range(1, 40), k=3):
            await it.say(*(f"{total + n}" for n in range(more)))
            total += more
            pid = it.server._lanes.pid
            if pid is not None:  # else it has not been started again
                os.kill(pid, signal.SIGKILL)
        await until(lambda: receiver.lines and numbers(receiver)[-1] == total - 1)
        assert list(dict.fromkeys(numbers(receiver))) == list(range(total))

    on_a_server(tmp_path, test)


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
