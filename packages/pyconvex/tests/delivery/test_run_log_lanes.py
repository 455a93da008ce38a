"""Lanes over the run log, in a real lane process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from delivery_bench import HttpReceiver, NoJitter, StoreHost, component, until

from pyconvex.delivery.supervisor import LaneSupervisor
from pyconvex.runlog import ExceptionReport, Item, Report, RunRecord
from pyconvex.runlog.cursors import cursor_key
from pyconvex.runlog.log import SET_ASIDE, RunLog
from pyconvex.runlog.report import encode_value

LANE = "sample_lanes:MishapLane"
KEY = cursor_key("shop", LANE)


class World:
    """A server's side: the run log, the supervisor of its lanes, and a receiver."""

    def __init__(self, folder: Path) -> None:
        self.host = StoreHost(folder)
        self.receiver = HttpReceiver()
        self.log = self.host.run_log = RunLog(folder, on_written=self._wake)
        self.lanes = LaneSupervisor(self.host, chance=NoJitter())
        self._told = 0

    def _wake(self) -> None:
        self.lanes.wake(self.host.store.durable_ts)

    def start(self, **env: str) -> None:
        env = env or {"TOKEN": "t", "HOST": self.receiver.url}
        self.log.start()
        self.log.set_lanes([KEY])
        self.lanes.start(self.host.folder, [component(LANE, env=env)], self.host.store.durable_ts)

    def tell(self, *values: object, error: str = "") -> None:
        """One run tells these mishaps, or raises."""
        self._told += 1
        told = ExceptionReport(f"e{self._told}", "ValueError", error)
        self.log.keep(
            RunRecord(
                ts_ms=1e12,
                began_ms=1e12,
                request_id="r",
                execution_id=f"x{self._told}",
                kind="mutation",
                path="shop:buy",
                error=error,
                report=Report(
                    items=tuple(Item("shop.mishap", "", encode_value(v)) for v in values),
                    exception=encode_value(told) if error else b"",
                ),
            )
        )

    @property
    def received(self) -> list[Any]:
        return [event["what"] for body in self.receiver.bodies for event in body["batch"]]

    def state(self) -> str:
        return self.lanes.status()[0].state if self.lanes.status() else ""


@pytest.fixture
def in_world(tmp_path: Path) -> Callable[[Callable[[World], Awaitable[None]]], None]:
    def run(test: Callable[[World], Awaitable[None]]) -> None:
        async def body() -> None:
            world = World(tmp_path / "folder")
            try:
                async with asyncio.timeout(90):
                    await test(world)
            finally:
                world.receiver.close()
                await world.lanes.stop()
                world.log.close()
                world.host.store.close()

        asyncio.run(body())

    return run


def test_matching_entries_arrive_in_order_and_the_cursor_follows(in_world: Any) -> None:
    async def test(world: World) -> None:
        world.start()
        for n in range(25):
            world.tell(n, n)  # the second is not admitted
        world.tell(error="it broke")
        await until(lambda: len(world.received) == 26)
        assert world.received == [*range(25), "it broke"]
        assert {e["to"] for body in world.receiver.bodies for e in body["batch"]} == {"shop"}
        uuids = world.receiver.received
        assert len(set(uuids)) == 26
        cursor = world.log.cursor(KEY)
        assert cursor is not None
        began = cursor.position
        world.tell("more")
        await until(lambda: world.received[-1] == "more")
        await until(lambda: world.log.cursor(KEY).position > began)  # type: ignore[union-attr]

    in_world(test)


def test_killed_before_the_acknowledgement_entries_come_again_with_their_ids(in_world: Any) -> None:
    async def test(world: World) -> None:
        world.start()
        world.receiver.answering.clear()
        for n in range(3):
            world.tell(n)
        await until(lambda: len(world.received) >= 1)
        assert world.lanes.pid is not None
        os.kill(world.lanes.pid, signal.SIGKILL)
        world.receiver.answering.set()
        await until(lambda: set(world.received) == {0, 1, 2} and len(world.received) > 3)
        by_what: dict[Any, set[str]] = {}
        for body in world.receiver.bodies:
            for event in body["batch"]:
                by_what.setdefault(event["what"], set()).add(event["uuid"])
        assert all(len(uuids) == 1 for uuids in by_what.values())

    in_world(test)


def test_a_poisonous_entry_is_set_aside_and_the_rest_goes_on(in_world: Any) -> None:
    async def test(world: World) -> None:
        world.start()
        world.tell(1, "poison", 2)
        await until(lambda: world.received == [1, 2])
        path = world.log.folder / SET_ASIDE
        await until(path.exists)
        (line,) = path.read_text().splitlines()
        kept = json.loads(line)
        assert kept["reason"] == "could not be encoded: ValueError: no such shape"
        assert (kept["entry"]["value"], kept["lane"]) == ("poison", KEY)

    in_world(test)


def test_what_needs_no_request_is_passed(in_world: Any) -> None:
    async def test(world: World) -> None:
        world.start()
        before = world.log.cursor(KEY)
        assert before is not None
        place = before.position
        world.tell("dull")
        await until(lambda: world.log.cursor(KEY).position > place)  # type: ignore[union-attr]
        world.tell("keen")
        await until(lambda: world.received == ["keen"])

    in_world(test)


def test_entries_wait_until_settings_are_complete(in_world: Any) -> None:
    async def test(world: World) -> None:
        world.start(TOKEN="t")
        world.tell("early")
        await until(lambda: world.state() == "waiting for settings")
        world.lanes.env_changed("shop", {"TOKEN": "t", "HOST": world.receiver.url})
        await until(lambda: world.received == ["early"])

    in_world(test)
