from __future__ import annotations

import asyncio

from pyconvex.database import Conflict, ReadSet, Stretch
from pyconvex.identity import ANONYMOUS
from pyconvex.runtime.answering import contention
from pyconvex.runtime.answering.contention import Contention, Line
from pyconvex.runtime.calls import FunctionCall

COUNTER = Conflict(1, "counters", "c1", contested=Stretch(7, b"c1"))
OTHER = Conflict(2, "counters", "c2", contested=Stretch(7, b"c2"))


def call(path: str = "a:bump", args: bytes = b"{}") -> FunctionCall:
    return FunctionCall(
        kind="mutation",
        path=path,
        args=args,
        identity=ANONYMOUS,
        request_id="r",
        origin="tester",
    )


def fought(lines: Contention, call: FunctionCall, conflict: Conflict) -> Line:
    line = lines.conflicted(call, conflict)
    assert line is not None
    return line


def test_a_snapshot_that_was_too_old_makes_no_line() -> None:
    lines = Contention()
    assert lines.conflicted(call(), Conflict(1)) is None
    assert lines.line_for(call()) is None


def test_the_same_call_queues_after_one_conflict() -> None:
    lines = Contention()
    assert lines.line_for(call()) is None
    line = fought(lines, call(), COUNTER)
    assert lines.line_for(call()) is line
    assert lines.line_for(call(args=b'{"n":1}')) is None, "another document, for all we know"
    assert lines.line_for(call(path="a:other")) is None


def test_a_function_that_keeps_conflicting_queues_whatever_its_arguments() -> None:
    lines = Contention()
    for number in range(2):
        line = fought(lines, call(args=b"%d" % number), COUNTER)
    assert lines.line_for(call(args=b"new")) is line


def test_a_fight_that_is_over_is_forgotten() -> None:
    lines = Contention()
    fought(lines, call(), COUNTER)
    asked = 0
    while lines.line_for(call()) is not None:
        asked += 1
        assert asked < 10
    assert asked >= 1


def test_a_line_that_is_used_stays() -> None:
    async def main() -> None:
        lines = Contention()
        async with fought(lines, call(), COUNTER):
            for _ in range(100):
                assert lines.line_for(call()) is not None

    asyncio.run(main())


def test_calls_that_pass_make_their_function_less_suspect() -> None:
    lines = Contention()
    for number in range(2):
        fought(lines, call(args=b"%d" % number), COUNTER)
    lines.passed(call(args=b"x"))
    assert lines.line_for(call(args=b"y")) is None


def read_at(key: bytes) -> bytes:
    reads = ReadSet()
    reads.add_point(7, key)
    return reads.encode()


def test_calls_that_had_no_need_of_their_line_leave_it_though_it_is_never_empty() -> None:
    async def main() -> None:
        lines = Contention()
        async with fought(lines, call(), COUNTER):
            fought(lines, call(), COUNTER)
            stood = 0
            while (line := lines.line_for(call(args=b"x"))) is not None:
                lines.stood(call(args=b"x"), line, read_at(b"c2"))
                stood += 1
            assert stood == 1
            assert lines.line_for(call()) is not None, "the same call is sure to need it"

    asyncio.run(main())


def test_calls_that_needed_their_line_stay_in_it() -> None:
    async def main() -> None:
        lines = Contention()
        async with fought(lines, call(), COUNTER):
            fought(lines, call(), COUNTER)
            for _ in range(100):
                line = lines.line_for(call(args=b"x"))
                assert line is not None
                lines.stood(call(args=b"x"), line, read_at(b"c1"))

    asyncio.run(main())


def test_another_document_is_another_line() -> None:
    lines = Contention()
    first, second = fought(lines, call(), COUNTER), fought(lines, call(), OTHER)
    assert first is not second
    assert lines.line_for(call()) is second


def test_one_at_a_time_in_order_of_arrival_also_after_a_cancellation() -> None:
    async def main() -> list[int]:
        line = fought(Contention(), call(), COUNTER)
        order: list[int] = []
        inside = 0

        async def stand(number: int) -> None:
            nonlocal inside
            async with line:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                order.append(number)
                inside -= 1

        tasks = [asyncio.create_task(stand(number)) for number in range(6)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert line.length == 0
        return order

    assert asyncio.run(main()) == [0, 1, 2, 4, 5]


def test_guesses_are_bounded(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(contention, "MAX_GUESSES", 10)
    lines = Contention()
    for number in range(50):
        fought(lines, call(args=b"%d" % number), COUNTER)
    assert len(lines._guesses) <= 10
    assert lines.line_for(call(args=b"49")) is not None
