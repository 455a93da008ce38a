"""Supervisor and lanes in one event loop, over a real data folder, with a receiver in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from delivery_bench import QUEUE, FakeTransport, NoJitter, StoreHost, component, until

from pyconvex.delivery import Response, Unreachable
from pyconvex.delivery.process import serve
from pyconvex.delivery.supervisor import LaneSupervisor, Life

ENV = {"TOKEN": "t", "HOST": "http://receiver"}


class TaskChild:
    """A lane "process" that is a task here."""

    def __init__(self, sock: socket.socket, transport: FakeTransport) -> None:
        self.pid = 1
        self.task = asyncio.create_task(serve(sock, transport))
        self.task.add_done_callback(lambda _: sock.close())

    def kill(self) -> None:
        self.task.cancel()

    async def wait(self) -> int:
        await asyncio.wait([self.task])
        return 0


class World:
    """Everything that a test needs, alive only inside its event loop."""

    def __init__(self, folder: Path) -> None:
        self.host = StoreHost(folder)
        self.transport = FakeTransport()
        self.children: list[TaskChild] = []
        self.refuse_spawns = 0
        self.lanes = LaneSupervisor(self.host, spawn=self.spawn, chance=NoJitter())

    async def spawn(self) -> tuple[TaskChild, socket.socket]:
        if self.refuse_spawns:
            self.refuse_spawns -= 1
            raise OSError("no processes left")
        ours, theirs = socket.socketpair()
        self.children.append(TaskChild(theirs, self.transport))
        return self.children[-1], ours

    def start(self, *lanes: str, env: dict[str, str] | None = None) -> None:
        components = [component(*lanes, env=ENV if env is None else env)] if lanes else []
        self.lanes.start(self.host.folder, components, self.host.store.durable_ts)

    def append(self, count: int, body: Callable[[int], Any] | None = None) -> None:
        self.lanes.wake(self.host.append(count, body))

    def texts(self, level: str) -> list[str]:
        return [text for _, _, logged, text in self.host.logged if logged == level]


@pytest.fixture
def in_world(tmp_path: Path) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    def run(test: Callable[[World], Awaitable[None]]) -> None:
        async def body() -> None:
            world = World(tmp_path / "folder")
            try:
                async with asyncio.timeout(60):
                    await test(world)
            finally:
                await world.lanes.stop()
                world.host.store.close()

        asyncio.run(body())

    return run


def test_rows_leave_in_order_and_the_queue_empties(in_world) -> None:
    async def test(world: World) -> None:
        world.host.append(13)
        world.start("EventLane")
        await until(lambda: len(world.transport.accepted) == 13)
        world.append(12)
        await until(lambda: world.host.rows == 0)
        assert world.transport.accepted == [f"u{n}" for n in range(25)]
        await until(lambda: [s.sent for s in world.lanes.status()] == [25])
        assert world.lanes.status()[0].queue == "events"

    in_world(test)


def test_rows_that_are_not_durable_stay(in_world) -> None:
    async def test(world: World) -> None:
        before = world.host.append(3)
        world.host.append(3)
        world.lanes.start(world.host.folder, [component("EventLane", env=ENV)], before)
        await until(lambda: world.host.rows == 3)
        assert len(world.transport.accepted) == 3
        world.lanes.wake(world.host.store.durable_ts)
        await until(lambda: world.host.rows == 0)

    in_world(test)


def test_a_row_that_is_refused_is_set_aside_with_its_reason(in_world) -> None:
    async def test(world: World) -> None:
        world.transport.answers += [Response(400, {}, b"bad uuid")] * 2
        world.host.append(2)
        world.start("EventLane")
        await until(lambda: world.host.rows == 0)
        assert world.transport.accepted == ["u1"]
        reader = world.host.store.reader()
        reader.begin()
        (row,) = reader.set_aside_rows(QUEUE, limit=9)
        reader.close()
        assert row.reason == "400: bad uuid"
        assert any("set aside (400: bad uuid)" in text for text in world.texts("error"))

    in_world(test)


def test_without_settings_a_lane_waits_says_so_once_and_starts_by_itself(in_world) -> None:
    async def test(world: World) -> None:
        world.host.append(3)
        world.start("EventLane", env={"HOST": "http://receiver"})
        await until(lambda: world.texts("info"))
        world.append(1)
        world.lanes.env_changed("shop", {"HOST": "http://other"})
        await until(lambda: world.lanes.status() != ())
        assert world.lanes.status()[0].missing == ("TOKEN",)
        world.lanes.env_changed("shop", {**ENV})
        await until(lambda: world.host.rows == 0)
        assert world.texts("info") == [
            "waits until TOKEN is set, rows stay in the queue; then starts by itself"
        ]
        assert world.transport.requests[0].url == "http://receiver/batch/"

    in_world(test)


def test_with_settings_that_do_not_fit_a_lane_sends_nothing_and_says_why_once(in_world) -> None:
    async def test(world: World) -> None:
        world.host.append(3)
        world.start("EventLane", env={**ENV, "TOKEN": "secret-1"})
        await until(lambda: world.texts("error"))
        world.append(1)
        world.lanes.env_changed("shop", {**ENV, "TOKEN": "secret-2"})
        await until(lambda: world.lanes.status() != ())
        assert world.lanes.status()[0].last_error == "TOKEN is a secret"
        assert (world.transport.requests, world.host.rows) == ([], 4)
        world.lanes.env_changed("shop", {**ENV})
        await until(lambda: world.host.rows == 0)
        await until(lambda: world.lanes.status()[0].last_error is None)
        assert world.texts("error") == [
            "TOKEN is a secret; nothing is sent until then, and nothing is lost"
        ]

    in_world(test)


def test_a_timer_may_look_at_its_queue_after_each_commit(in_world) -> None:
    async def test(world: World) -> None:
        second = asyncio.get_running_loop().create_future()  # kept back until the first was noted
        world.transport.answers = [Response(503, {}, b"down"), second]
        world.start("EventLane", "WatchLane")

        def noted(**expected: object) -> bool:
            notes = [args for _, _, path, args in world.host.calls if path == "watch:note"]
            return any(expected.items() <= note.items() for note in notes)

        await until(lambda: noted(waiting=0.0, sent=0.0, failing=False))
        world.append(1)
        await until(lambda: noted(waiting=1.0, failing=True, last_error="503: down"))
        second.set_result(Response(400, {}, b"bad"))
        await until(lambda: world.host.rows == 0)
        world.append(1)
        await until(lambda: noted(waiting=0.0, set_aside=1.0, sent=1.0, failing=False))

    in_world(test)


def test_an_env_that_stays_the_same_is_not_sent(in_world) -> None:
    async def test(world: World) -> None:
        world.start("ClockLane")
        await until(lambda: len(world.host.calls) == 2)
        world.lanes.env_changed("shop", dict(ENV))
        world.lanes.env_changed("unknown", {"A": "1"})
        world.lanes.env_changed("shop", {**ENV, "ZONE": "here"})
        await until(lambda: len(world.host.calls) == 4)
        assert world.host.calls[-1] == (
            "mutation",
            "shop",
            "clock:set",
            {"was": None, "zone": "here"},
        )

    in_world(test)


def test_a_timer_that_fails_says_so_once_and_goes_on(in_world) -> None:
    async def test(world: World) -> None:
        failures = 3

        def answer(path: str) -> object:
            nonlocal failures
            if failures:
                failures -= 1
                raise LookupError("no such function")
            return 5.0

        world.host.answer = answer
        world.start("ClockLane")
        # The lane process's own jitter is real here: three pauses of at most 1, 2 and 4 s.
        await until(lambda: len(world.host.calls) == 5)
        assert world.texts("error") == [
            "failed (CallFailed: no such function); tried again with growing pauses"
        ]
        assert world.host.calls[-1][3] == {"was": 5.0, "zone": ""}

    in_world(test)


@pytest.mark.parametrize(
    ("lane", "reason"),
    [
        ("no_such_module:Lane", "ModuleNotFoundError"),
        ("sample_lanes:NoSuchLane", "AttributeError"),
        ("sample_lanes:NoLane", "is no QueueLane, RunLogLane or TimerLane"),
        ("sample_lanes:SecondEventLane", "another lane drains"),
    ],
)
def test_a_lane_that_cannot_run_leaves_the_others_running(in_world, lane: str, reason: str) -> None:
    async def test(world: World) -> None:
        world.host.append(1)
        world.start("EventLane", lane)
        await until(lambda: world.host.rows == 0)
        await until(lambda: len(world.lanes.status()) == 2)
        assert reason in world.texts("error")[0]
        assert [s.state == "broken" for s in world.lanes.status()] == [False, True]

    in_world(test)


def test_without_lanes_there_is_no_process(in_world) -> None:
    async def test(world: World) -> None:
        world.start()
        world.append(1)
        await asyncio.sleep(0)
        assert world.children == []
        assert world.lanes.life is Life.IDLE
        world.lanes.configure([component("EventLane", env=ENV)])
        await until(lambda: world.host.rows == 0)

    in_world(test)


def test_a_deploy_replaces_what_changed_and_leaves_the_rest(in_world) -> None:
    async def test(world: World) -> None:
        world.start("EventLane", "ClockLane")
        await until(lambda: len(world.host.calls) == 2)
        world.lanes.configure([component("EventLane", env=ENV)])
        world.append(2)
        await until(lambda: world.host.rows == 0)
        await until(lambda: len(world.lanes.status()) == 1)
        world.lanes.configure([component("EventLane", "ClockLane", env=ENV)])
        await until(lambda: len(world.host.calls) == 4)
        assert len(world.children) == 1
        assert world.lanes.status()[0].sent == 2
        world.lanes.configure([component("ClockLane", env=ENV)])
        await until(lambda: len(world.lanes.status()) == 1)
        world.lanes.configure([component("EventLane", "ClockLane", env=ENV)])
        world.append(1)
        await until(lambda: world.lanes.status()[-1].sent == 3)

    in_world(test)


def test_a_crash_is_followed_by_a_new_process_and_totals_go_on(in_world) -> None:
    async def test(world: World) -> None:
        world.host.append(4)
        world.start("EventLane")
        await until(lambda: [s.sent for s in world.lanes.status()] == [4])
        world.children[0].kill()
        world.refuse_spawns = 1
        world.append(3)
        await until(lambda: world.host.rows == 0)
        await until(lambda: [s.sent for s in world.lanes.status()] == [7])
        assert world.transport.accepted == [f"u{n}" for n in range(7)]
        assert "ended (status 0)" in world.texts("error")[0]
        assert "could not be started: no processes left" in world.texts("error")[1]

    in_world(test)


def test_a_host_that_fails_to_ack_does_not_end_the_lanes(in_world) -> None:
    async def test(world: World) -> None:
        async def ack(queue: int, ts: int, seq: int) -> None:
            raise OSError("disk full")

        world.host.ack = ack
        world.host.append(1)
        world.start("EventLane")
        await until(lambda: world.texts("error"))
        world.append(1)
        await until(lambda: world.transport.accepted == ["u0", "u1"])
        assert world.host.rows == 2
        assert "OSError('disk full')" in world.texts("error")[0]

    in_world(test)


def test_stopping_lets_the_request_in_flight_finish(in_world) -> None:
    async def test(world: World) -> None:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        world.transport.answers.append(answer)
        world.host.append(15)
        world.start("EventLane")
        await until(lambda: world.transport.requests)
        stopping = asyncio.create_task(world.lanes.stop(5.0))
        await asyncio.sleep(0)
        answer.set_result(Response(200, {}, b"{}"))
        await stopping
        assert world.host.rows == 5, "the first batch is acknowledged, the rest waits"
        assert world.lanes.status()[0].sent == 10

    in_world(test)


def test_stopping_is_bounded_and_what_hangs_stays_queued(in_world) -> None:
    async def test(world: World) -> None:
        world.transport.answers.append(asyncio.get_running_loop().create_future())
        world.host.append(2)
        world.start("EventLane")
        await until(lambda: world.transport.requests)
        began = asyncio.get_running_loop().time()
        await world.lanes.stop(0.05)
        assert asyncio.get_running_loop().time() - began < 5
        assert world.host.rows == 2
        assert world.lanes.life is Life.STOPPED

    in_world(test)


def test_an_outage_shows_in_the_status_and_heals(in_world) -> None:
    async def test(world: World) -> None:
        world.transport.answers += [Unreachable("connection refused")] * 2
        world.host.append(2)
        world.start("EventLane")
        await until(lambda: any(s.failed for s in world.lanes.status()))
        assert world.lanes.status()[0].last_error == "connection refused"
        assert world.lanes.status()[0].in_hand in (0, 2)
        await until(lambda: world.host.rows == 0)
        assert world.transport.accepted == ["u0", "u1"]
        assert len({request.body for request in world.transport.requests}) == 1

    in_world(test)
