"""The server's side: what becomes of a request when the process is killed, hangs or is idle."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.export import ColumnNames, Exporter
from pyconvex.export.messages import Head, encode
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.processes.channel import frame

ANSWER = frame(encode(Head(200, as_of_ts=7, content_type="application/json", body_bytes=4)))


class Child:
    """A process that never was."""

    pid = 1

    def __init__(self) -> None:
        self.killed = False

    def kill(self) -> None:
        self.killed = True

    async def wait(self) -> int:
        return 0


class Script:
    """Starts one scripted process after the other; each is bytes that it says before it ends."""

    def __init__(self, *says: bytes | None) -> None:
        self.says = list(says)
        self.children: list[Child] = []
        self.peers: list[socket.socket] = []

    async def spawn(self) -> tuple[Child, socket.socket]:
        ours, theirs = socket.socketpair()
        said = self.says.pop(0)
        if said is None:
            self.peers.append(theirs)  # it hangs
        else:
            theirs.sendall(said)
            theirs.shutdown(socket.SHUT_WR)
            self.peers.append(theirs)
        self.children.append(Child())
        return self.children[-1], ours


def run(
    script: Script, story: Callable[[Exporter], Coroutine[Any, Any, None]], **options: Any
) -> None:
    async def main() -> None:
        async def secret() -> bytes:
            return b"s"

        async def durable(ts: int) -> None:
            assert ts == 7

        exporter = Exporter(
            Path("nowhere"), secret=secret, wait_durable=durable, spawn=script.spawn, **options
        )
        try:
            await story(exporter)
        finally:
            await exporter.close()
            for peer in script.peers:
                peer.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert all(child.killed for child in script.children)


def test_an_answer_comes_whole_or_from_the_next_process() -> None:
    script = Script(ANSWER + b"nu", ANSWER + b"null")

    async def story(exporter: Exporter) -> None:
        answer = await exporter.answer(ColumnNames())
        assert bytes(answer.body) == b"null"

    run(script, story)
    assert len(script.children) == 2


@pytest.mark.parametrize("said", [b"", ANSWER[:3], ANSWER, ANSWER + b"nul"])
def test_two_that_end_early_are_a_503(said: bytes) -> None:
    async def story(exporter: Exporter) -> None:
        with pytest.raises(HostError) as refused:
            await exporter.answer(ColumnNames())
        assert (refused.value.status, refused.value.code) == (503, "ExportUnavailable")
        assert exporter.pid is None

    run(Script(said, said), story)


def test_one_that_hangs_is_killed() -> None:
    async def story(exporter: Exporter) -> None:
        with pytest.raises(HostError, match="same cursor"):
            await exporter.answer(ColumnNames())

    run(Script(None, None), story, silence_s=0.05)


def test_one_that_is_idle_ends() -> None:
    async def story(exporter: Exporter) -> None:
        await exporter.answer(ColumnNames())
        while exporter.pid is not None:
            await asyncio.sleep(0.01)
        await exporter.answer(ColumnNames())

    script = Script(ANSWER + b"null", ANSWER + b"null")
    run(script, story, idle_s=0.01)
    assert len(script.children) == 2


def test_a_refusal_has_its_status_and_code() -> None:
    head = frame(encode(Head(400, "BadFormat", "No such format.")))

    async def story(exporter: Exporter) -> None:
        with pytest.raises(HostError) as refused:
            await exporter.answer(ColumnNames())
        assert (refused.value.status, refused.value.code) == (400, "BadFormat")

    run(Script(head), story)


def test_closing_tells_those_who_wait() -> None:
    async def story(exporter: Exporter) -> None:
        waiting = asyncio.create_task(exporter.answer(ColumnNames()))
        while exporter.pid is None:
            await asyncio.sleep(0.01)
        await exporter.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(HostError, match="stopping"):
            await exporter.answer(ColumnNames())

    run(Script(None), story)
