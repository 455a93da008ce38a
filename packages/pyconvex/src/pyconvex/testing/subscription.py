"""Following a query in a test, as a client does.

Owns one watch and what was last seen through it. Never runs anything between two questions: a
commit marks the subscription stale, and the next `anext` runs the query. One invariant: each result
is handed out once, and only when it differs from the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from pyconvex.runtime.calls import Failure, FunctionCall, Outcome, QueryResult, Success
from pyconvex.testing.engine import Engine

R = TypeVar("R")

#: How long `anext` waits for a commit, in real seconds: a test that forgot it must not hang.
PATIENCE_S = 5.0


class Subscription(Generic[R]):
    """The results of one query over time; an async iterator.

        prices = t.subscribe("shop:price", user_id=user)
        assert await anext(prices) == 100
        await t.mutation("shop:set_price", price=80)
        assert await anext(prices) == 80

    The first `anext` gives the result of now; each one after it waits until a commit has changed
    the result, and raises `TimeoutError` when none does within `patience_s`. When the query fails,
    `anext` raises as `t.query` would, and the subscription goes on. `stale` says at once whether a
    commit has touched what the query read. Ends with `aclose`, as a context manager, or with `t`.
    """

    def __init__(
        self,
        engine: Engine,
        call: FunctionCall,
        decode: Callable[[Outcome], R],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._engine = engine
        self._call = call
        self._decode = decode
        self._patience_s = patience_s
        self._changed = asyncio.Event()
        self._changed.set()
        self._watch = engine.host.queries.watch(call, None, self._changed.set)
        self._last: QueryResult | None = None
        self._closed = False
        #: How often the query has run for this subscription.
        self.runs = 0

    @property
    def stale(self) -> bool:
        """Whether the query will run at the next `anext`: a commit touched what it has read."""
        return self._changed.is_set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        while True:
            await self._wait_for_change()
            if self._closed:
                raise StopAsyncIteration
            before, now = self._last, await self._run()
            if before is None or _seen(before.outcome) != _seen(now.outcome):
                return self._decode(now.outcome)

    async def aclose(self) -> None:
        """End the subscription; whoever waits in `anext` gets `StopAsyncIteration`."""
        self._closed = True
        self._watch.close()
        self._changed.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"No new result of {self._call.path} within {self._patience_s:g} s: no commit has "
                "changed what it reads. `stale` tells without waiting."
            ) from None

    async def _run(self) -> QueryResult:
        self._changed.clear()
        settled = await self._engine.host.queries.settle([self._watch], 0)
        result = settled.results[0]
        if result is not self._last:
            self.runs += 1
            self._engine.log_lines.extend(result.outcome.log_lines)
        self._last = result
        return result


def _seen(outcome: Outcome) -> tuple[object, ...]:
    """What of an outcome a client sees as the result."""
    match outcome:
        case Success(value=value):
            return (value,)
        case Failure(message=message, data=data):
            return (message, data)
