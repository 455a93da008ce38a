"""Which action isolates are looked after, without processes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from pyconvex.runlog import Report
from pyconvex.runtime.isolates import action_isolates
from pyconvex.runtime.isolates.action_isolates import ActionIsolates
from pyconvex.runtime.isolates.isolate_process import Isolate
from pyconvex.runtime.isolates.runs import IsolateGoneError, Run, new_run
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BoxReader
from pyconvex.runtime.running import limits


class Wire:
    """Takes what the server sends to an isolate, and nobody answers."""

    def __init__(self) -> None:
        self.sent: list[messages.Frame] = []

    def send(self, frame: bytes) -> None:
        self.sent.append(messages.decode_to_isolate(frame))


def action(number: int) -> Run:
    start = messages.Start(
        number, "action", "", "lib:act", b"{}", b"", "request", 0.0, b"", False, False, b"", None
    )
    return new_run(start)


def test_what_a_look_has_begun_is_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_isolates, "WATCH_INTERVAL_S", 0.001)

    async def main() -> None:
        wire, box = Wire(), BoxReader()
        isolate = Isolate(1, True, box, cast(Any, wire))
        isolates = ActionIsolates(lambda: isolate, maximum=1, each=8, runs_each=100)
        isolates.adopt(action(1))
        async with asyncio.timeout(10):
            # On a busy machine it is connected long before its fork is told of.
            while not isolate.runs:
                await asyncio.sleep(0)
            monkeypatch.setattr(limits, "ACTION_WALL_LIMIT_S", 0.0)
            while messages.Cancel(1) not in wire.sent:
                await asyncio.sleep(0)
        isolate.runs.clear()
        box.close()

    asyncio.run(main())


def test_what_waited_for_an_answer_is_ended_at_its_limit_like_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(action_isolates, "WATCH_INTERVAL_S", 0.001)
    looks = 0

    async def main() -> None:
        wire, box = Wire(), BoxReader()
        isolate = Isolate(1, True, box, cast(Any, wire))
        isolates = ActionIsolates(lambda: isolate, maximum=1, each=8, runs_each=100)
        look = isolates._look

        def counted() -> None:
            nonlocal looks
            looks += 1
            look()

        monkeypatch.setattr(isolates, "_look", counted)
        first, second = action(1), action(2)
        isolates.adopt(first)
        isolates.ready(isolate)
        isolates.adopt(second)
        assert list(isolate.runs) == [1], "the second waits until the isolate has answered"
        del isolate.runs[1]
        isolates.freed(isolate, 1)
        seen = looks
        async with asyncio.timeout(10):
            while looks < seen + 2:
                await asyncio.sleep(0)
        isolates.answered(isolate)
        assert list(isolate.runs) == [2]
        monkeypatch.setattr(limits, "ACTION_WALL_LIMIT_S", 0.0)
        async with asyncio.timeout(10):
            while messages.Cancel(2) not in wire.sent:
                await asyncio.sleep(0)
        assert not second.done.done(), "it may still tell something"
        second.finish(messages.Finished(2, b"1", "", None, Report(), True, b""))
        with pytest.raises(IsolateGoneError, match="timed out"):
            await second.result()
        isolate.runs.clear()
        box.close()

    asyncio.run(main())
