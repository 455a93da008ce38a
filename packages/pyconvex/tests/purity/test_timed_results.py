"""How long a result that depends on the time is given to others."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pyconvex.database import ReadSet, Subscriptions, WriteLog
from pyconvex.identity import ANONYMOUS
from pyconvex.runtime.answering.cache import TIMED_RESULT_AGE_S, Execution, ResultCache
from pyconvex.runtime.answering.queries import QueryRounds
from pyconvex.runtime.calls import FunctionCall, QueryResult, Success

CALL = FunctionCall(
    kind="query", path="lib:f", args=b"{}", identity=ANONYMOUS, request_id="r", origin="httpApi"
)


class Clocked:
    """Runs one query, whose value is how often it ran, at a time that the test sets."""

    def __init__(self, *, observed_time: bool) -> None:
        self.visible_ts = 100
        self.now_s = 0.0
        self.runs = 0
        self._observed_time = observed_time
        log = WriteLog(0)
        cache = ResultCache(log, now_s=lambda: self.now_s)
        self.rounds = QueryRounds(self, Subscriptions(log), cache)

    async def wait_durable(self, ts: int) -> None:
        pass

    async def execute(
        self, call: FunctionCall, journal: str | None, *, again: bool = False
    ) -> Execution:
        self.runs += 1
        until = self.now_s + TIMED_RESULT_AGE_S if self._observed_time else math.inf
        outcome = Success(b"%d" % self.runs, (), self.visible_ts)
        return Execution(QueryResult(outcome), ReadSet().encode(), self.visible_ts, False, until)

    def served(self, call: FunctionCall, execution: Execution) -> None:
        pass

    async def execute_pinned(
        self, calls: Sequence[tuple[FunctionCall, str | None]], still_true: Callable[[], bool]
    ) -> list[Execution] | None:
        return [await self.execute(*call) for call in calls]

    async def once(self) -> bytes:
        return value_of(await self.rounds.once(CALL))

    async def watch(self) -> Any:
        watch = self.rounds.watch(CALL, None, lambda: None)
        await self.settled(watch)
        return watch

    async def settled(self, watch: Any) -> bytes:
        return value_of((await self.rounds.settle([watch], 0)).results[0])


def value_of(result: QueryResult) -> bytes:
    assert isinstance(result.outcome, Success)
    return result.outcome.value


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_one_off_queries_share_it_while_it_is_young() -> None:
    async def work() -> None:
        queries = Clocked(observed_time=True)
        assert await queries.once() == b"1"
        queries.now_s = TIMED_RESULT_AGE_S
        assert await queries.once() == b"1"
        queries.now_s += 0.1
        assert await queries.once() == b"2"

    run(work)


def test_a_result_that_saw_no_clock_does_not_age() -> None:
    async def work() -> None:
        queries = Clocked(observed_time=False)
        await queries.once()
        await queries.watch()
        queries.now_s = 1e9
        assert await queries.once() == b"1"
        assert await queries.settled(await queries.watch()) == b"1"

    run(work)


def test_who_subscribes_later_gets_a_new_one_and_who_was_there_is_not_woken() -> None:
    async def work() -> None:
        queries = Clocked(observed_time=True)
        early = await queries.watch()
        queries.now_s = TIMED_RESULT_AGE_S + 1
        assert await queries.settled(early) == b"1"
        late = await queries.watch()
        assert await queries.settled(late) == b"2"
        assert await queries.settled(early) == b"1"
        assert await queries.settled(await queries.watch()) == b"2"
        assert queries.runs == 2

    run(work)
