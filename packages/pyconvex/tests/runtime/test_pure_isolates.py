"""What is lined up behind a run, without processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from pyconvex.runtime.isolates.isolate_process import Isolate
from pyconvex.runtime.isolates.pure_isolates import LINE_MS, MAX_LINE, PureIsolates
from pyconvex.runtime.isolates.runs import Run, new_run
from pyconvex.runtime.processes import messages

QUICK_MS, SLOW_MS = LINE_MS / 100, LINE_MS * 100


class Wire:
    """Takes down which runs the server sends to an isolate, and whether they began at once."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.soon: list[int] = []

    def send(self, body: bytes) -> None:
        self.sent.append(run_id(body))

    def send_soon(self, body: bytes) -> None:
        self.soon.append(run_id(body))


def run_id(body: bytes) -> int:
    start = messages.decode_to_isolate(body)
    assert isinstance(start, messages.Start)
    return start.run_id


def query(number: int) -> Run:
    start = messages.Start(
        number, "query", "", "lib:ask", b"{}", b"", "request", 0.0, b"", False, False, b"", None
    )
    return new_run(start)


def with_isolates(count: int, test: Callable[[PureIsolates, list[Isolate]], None]) -> None:
    async def main() -> None:
        made = [Isolate(n, False, cast(Any, None), cast(Any, Wire())) for n in range(count)]
        left = iter(made)
        isolates = PureIsolates(
            lambda: next(left, None), minimum=count, maximum=count, runs_each=10_000
        )
        isolates.fill()
        for isolate in made:
            isolates.ready(isolate)
        test(isolates, made)

    asyncio.run(main())


def wire(isolate: Isolate) -> Wire:
    return cast(Wire, isolate.channel)


def end(isolates: PureIsolates, isolate: Isolate, took_ms: float) -> int:
    """The run under way ends; which one it was."""
    (number,) = isolate.runs
    del isolate.runs[number]
    isolate.ran += 1
    isolates.freed(isolate, took_ms)
    return number


def play(isolates: PureIsolates, isolate: Isolate, took_ms: float, runs: int) -> None:
    """Run after run, one at a time."""
    for _ in range(runs):
        isolates.adopt(query(0))
        end(isolates, isolate, took_ms)


def play_side_by_side(isolates: PureIsolates, made: list[Isolate], rounds: int) -> None:
    """Quick runs, one in each isolate at a time."""
    for number in range(rounds * len(made)):
        isolates.adopt(query(number))
        if len(made[-1].runs):
            for isolate in made:
                end(isolates, isolate, QUICK_MS)


def test_what_is_usually_quick_is_lined_up_in_numbers() -> None:
    def test(isolates: PureIsolates, made: list[Isolate]) -> None:
        (isolate,) = made
        play(isolates, isolate, QUICK_MS, 100)
        wire(isolate).sent.clear()
        for number in range(1, 21):
            isolates.adopt(query(number))
        assert wire(isolate).sent == [1]
        assert wire(isolate).soon == list(range(2, MAX_LINE + 2))
        assert len(isolates.backlog) == 20 - 1 - MAX_LINE
        assert [end(isolates, isolate, QUICK_MS) for _ in range(20)] == list(range(1, 21))

    with_isolates(1, test)


def test_behind_what_may_be_slow_one_is_lined_up() -> None:
    def test(isolates: PureIsolates, made: list[Isolate]) -> None:
        (isolate,) = made
        play(isolates, isolate, QUICK_MS, 100)
        play(isolates, isolate, SLOW_MS, 1)
        for number in range(1, 5):
            isolates.adopt(query(number))
        assert wire(isolate).soon == [2]

    with_isolates(1, test)


def test_the_shortest_line_is_joined() -> None:
    def test(isolates: PureIsolates, made: list[Isolate]) -> None:
        play_side_by_side(isolates, made, 60)
        for number in range(1, 8):
            isolates.adopt(query(number))
        assert sorted(len(wire(isolate).soon) for isolate in made) == [2, 3]

    with_isolates(2, test)


def test_what_is_lined_up_begins_elsewhere_in_its_order_when_the_isolate_is_lost() -> None:
    def test(isolates: PureIsolates, made: list[Isolate]) -> None:
        (isolate,) = made
        play(isolates, isolate, QUICK_MS, 100)
        runs = [query(number) for number in range(1, 7)]
        for run in runs:
            isolates.adopt(run)
        assert len(wire(isolate).soon) == 5
        isolate.ending = "It is over."
        isolates.lost(isolate)
        assert list(isolates.hand_over()) == runs[1:]
        assert not isolates.backlog

    with_isolates(1, test)


def test_a_pool_hands_over_what_is_lined_up_in_the_order_of_arrival() -> None:
    def test(isolates: PureIsolates, made: list[Isolate]) -> None:
        play_side_by_side(isolates, made, 60)
        runs = [query(number) for number in range(1, 10)]
        for run in runs:
            isolates.adopt(run)
        assert list(isolates.hand_over()) == runs[2:]

    with_isolates(2, test)
