"""The lane process as a process: killed, orphaned, facing a receiver that comes and goes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from delivery_bench import HttpReceiver, NoJitter, StoreHost, component, until

from pyconvex.delivery.supervisor import LaneSupervisor, spawn_lanes


class World:
    def __init__(self, folder: Path) -> None:
        self.host = StoreHost(folder)
        self.receiver = HttpReceiver()
        self.lanes = LaneSupervisor(self.host, chance=NoJitter())

    def start(self) -> None:
        env = {"TOKEN": "t", "HOST": self.receiver.url}
        self.lanes.start(
            self.host.folder, [component("EventLane", env=env)], self.host.store.durable_ts
        )


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
                world.host.store.close()

        asyncio.run(body())

    return run


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_killed_between_acceptance_and_acknowledgement_each_event_arrives(in_world) -> None:
    async def test(world: World) -> None:
        world.host.append(14)
        world.receiver.answering.clear()
        world.start()
        await until(lambda: world.receiver.batches)
        assert world.lanes.pid is not None
        os.kill(world.lanes.pid, signal.SIGKILL)
        world.receiver.answering.set()
        await until(lambda: world.host.rows == 0)
        first_seen = list(dict.fromkeys(world.receiver.received))
        assert first_seen == [f"u{n}" for n in range(14)]
        assert world.receiver.batches[0] == world.receiver.batches[1], "sent again after the kill"
        assert any("status -9" in text for _, _, _, text in world.host.logged)

    in_world(test)


def test_a_receiver_that_was_down_gets_everything_once_it_is_up(in_world) -> None:
    async def test(world: World) -> None:
        port = world.receiver.port
        world.host.append(25)
        world.receiver.close()
        world.start()
        await until(lambda: any(status.failed for status in world.lanes.status()))
        assert world.host.rows == 25
        world.receiver = HttpReceiver(port)
        await until(lambda: world.host.rows == 0)
        assert world.receiver.received == [f"u{n}" for n in range(25)]

    in_world(test)


def test_a_lane_that_spins_does_not_stop_the_others_for_ever(in_world) -> None:
    async def test(world: World) -> None:
        world.lanes = LaneSupervisor(world.host, chance=NoJitter(), silence_s=2.0)
        spinning = component("SpinLane")
        world.lanes.start(world.host.folder, [spinning], world.host.store.durable_ts)
        await until(lambda: any(text == "spinning" for *_, text in world.host.logged))
        spun = world.lanes.pid
        await until(lambda: any("kept it busy for 2 s" in text for *_, text in world.host.logged))
        await until(lambda: world.lanes.pid not in (None, spun))

    in_world(test)


def test_stop_ends_the_process(in_world) -> None:
    async def test(world: World) -> None:
        world.host.append(1)
        world.start()
        await until(lambda: world.host.rows == 0)
        pid = world.lanes.pid
        assert pid is not None
        await world.lanes.stop()
        assert not is_running(pid)
        assert [text for _, _, level, text in world.host.logged if level == "error"] == []

    in_world(test)


def test_the_process_ends_when_the_servers_socket_does() -> None:
    async def test() -> None:
        child, sock = await spawn_lanes()
        sock.close()
        async with asyncio.timeout(60):
            assert await child.wait() == 0

    asyncio.run(test())


ORPHANER = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from delivery_bench import component
from pyconvex.delivery.messages import Configure, encode
from pyconvex.delivery.supervisor import spawn_lanes
from pyconvex.runtime.processes.channel import LoopChannel

async def main():
    child, sock = await spawn_lanes()
    heard = asyncio.Event()
    channel = await LoopChannel.open(sock, lambda _: heard.set(), lambda: None)
    channel.send(encode(Configure(sys.argv[2], 0, (component("SpinLane"),))))
    await heard.wait()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the socket ends the process")
def test_a_spinning_lane_dies_with_a_killed_server(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    server = subprocess.Popen(
        [sys.executable, "-c", ORPHANER, here, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert is_running(pid)
        server.kill()
    asyncio.run(until(lambda: not is_running(pid)))
