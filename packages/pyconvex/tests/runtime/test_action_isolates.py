"""Which action isolates are looked after, without processes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from pyconvex.runtime.isolates import action_isolates
from pyconvex.runtime.isolates.action_isolates import ActionIsolates
from pyconvex.runtime.isolates.isolate_process import Isolate
from pyconvex.runtime.isolates.runs import IsolateGoneError, Run, new_run
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running import limits


class Wire:
    """Takes what the server sends to an isolate."""

    def send(self, frame: bytes) -> None:
        """It arrives, and nobody answers."""


def action(number: int) -> Run:
    start = messages.Start(
        number, "action", "", "lib:act", b"{}", b"", "request", 0.0, b"", False, False, b"", None
    )
    return new_run(start)


def test_what_waited_for_an_answer_is_ended_at_its_limit_like_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(action_isolates, "WATCH_INTERVAL_S", 0.001)
    looks = 0

    async def main() -> None:
        isolate = Isolate(1, True, cast(Any, Wire()))
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
        with pytest.raises(IsolateGoneError, match="timed out"):
            async with asyncio.timeout(10):
                await second.result()
        isolate.runs.clear()

    asyncio.run(main())
