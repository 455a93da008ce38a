"""Subscribed queries: one execution for everybody who watches the same.

Owns the entries (a result, what it read, and from when to when it is true), who watches them, and
the rounds that bring a client's queries to one timestamp. Never runs a function itself: it asks a
`QueryRunner`. One invariant: a result is handed out only for timestamps at which it is true.

An entry is true from the snapshot at which it ran up to the commit that changed something it read;
a round asks for one timestamp that lies in all intervals of its entries. Rounds are optimistic
first; what still disagrees runs again on a pinned snapshot, so that hot data can't starve a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from pyconvex.database import Subscription, Subscriptions
from pyconvex.runtime.answering.cache import Execution, Key, Keys, ResultCache, keys_of
from pyconvex.runtime.calls import FunctionCall, QueryResult, Settled, Watch

#: Rounds at own snapshots before the stragglers get a pinned one.
OPTIMISTIC_ROUNDS = 2


class QueryRunner(Protocol):
    """What runs queries, and knows the newest timestamps."""

    @property
    def visible_ts(self) -> int:
        """The newest committed timestamp."""

    async def wait_durable(self, ts: int) -> None:
        """Return once everything up to `ts` is durable."""

    async def execute(
        self, call: FunctionCall, journal: str | None, *, again: bool = False
    ) -> Execution:
        """Run a query on the newest snapshot; `again` when somebody watches it already."""

    async def execute_pinned(
        self, calls: Sequence[tuple[FunctionCall, str | None]], still_true: Callable[[], bool]
    ) -> list[Execution] | None:
        """Run queries on one snapshot, at which `still_true` was asked; None when it said no."""

    def served(self, call: FunctionCall, execution: Execution) -> None:
        """A caller gets an execution that was not made for it."""


@dataclass(eq=False, slots=True)
class _Run:
    """One execution under way, for all who wait for it."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    #: Why there is no result; read it once the run has ended.
    failure: BaseException | None = None
    task: asyncio.Task[None] | None = None


@dataclass(eq=False, slots=True)
class _Entry:
    """A query that runs once for all its watchers."""

    call: FunctionCall
    #: What the next execution gets; the last one's decisions.
    journal: str | None
    #: Where it is filed. Empty once an equal entry has taken its places: it is joined by nobody
    #: then, and left for the other one as soon as it is stale.
    keys: set[Key] = field(default_factory=set)
    #: True when the result holds for `call.identity` only. A query never run might look at the
    #: caller, so this starts True and follows each execution.
    personal: bool = True
    execution: Execution | None = None
    #: Tells when the result stopped being true; there from the first execution on.
    subscription: Subscription | None = None
    running: _Run | None = None
    watches: set[_Watch] = field(default_factory=set)

    @property
    def fresh(self) -> bool:
        """True while the result holds at the newest timestamp."""
        return self.subscription is not None and self.subscription.invalidated_at is None


@dataclass(eq=False, slots=True)
class _Watch:
    """One client's interest; `close` ends it (`pyconvex.runtime.calls.Watch`)."""

    owner: QueryRounds
    call: FunctionCall
    journal: str | None
    on_stale: Callable[[], None]
    entry: _Entry | None = None
    #: True between a settle and the call of `on_stale`.
    armed: bool = False
    #: True once it got a result.
    served: bool = False

    def close(self) -> None:
        self.armed = False
        if self.entry is not None:
            self.owner.leave(self, self.entry)


class QueryRounds:
    """The queries of all clients (`pyconvex.runtime.calls.Queries`)."""

    def __init__(
        self, runner: QueryRunner, subscriptions: Subscriptions, cache: ResultCache
    ) -> None:
        self._runner = runner
        self._cache = cache
        self._subscriptions = subscriptions
        #: Watched entries: those that hold for every caller, and those that hold for one identity.
        self._entries: dict[Key, _Entry] = {}
        #: Executions for callers that don't watch.
        self._under_way: dict[Key, asyncio.Future[Execution | None]] = {}

    def watch(
        self, call: FunctionCall, journal: str | None, on_stale: Callable[[], None]
    ) -> _Watch:
        """Take an interest in a query; see `Queries.watch`."""
        return _Watch(self, call, journal, on_stale)

    async def settle(self, watches: Sequence[Watch], not_before_ts: int) -> Settled:
        """Bring all watches to one durable timestamp; see `Queries.settle`."""
        return await self._settle(cast(Sequence[_Watch], watches), not_before_ts)

    async def _settle(self, watches: Sequence[_Watch], not_before_ts: int) -> Settled:
        for watch in watches:
            watch.armed = False
        # Never older than what is visible now, or a stale result would settle at its own past.
        oldest_ts = max(not_before_ts, self._runner.visible_ts)
        entries = await self._agree(watches, oldest_ts)
        ts = self._newest_common(entries, oldest_ts)
        assert ts is not None
        results = [self._result(watch) for watch in watches]
        for watch in watches:
            watch.armed = True
            assert watch.entry is not None
            if not watch.entry.fresh:
                asyncio.get_running_loop().call_soon(self._tell, watch)
        given = [self._given(watch) for watch in watches if not watch.served]
        await self._runner.wait_durable(ts)
        for watch, execution in given:
            self._serve(watch, execution)
        return Settled(ts, results)

    async def once(self, call: FunctionCall) -> QueryResult:
        """One caller's result, durable: kept from before, shared with others who ask, or new."""
        keys = keys_of(call, None)
        execution = self._cache.find(keys, self._runner.visible_ts)
        if execution is not None:
            await self._runner.wait_durable(execution.ts)
            self._runner.served(call, execution)
            return execution.result
        execution = await self._shared(call, keys)
        await self._runner.wait_durable(execution.ts)
        return execution.result

    async def _shared(self, call: FunctionCall, keys: Keys) -> Execution:
        """An execution that began for this call, or for an equal one and is still true."""
        _, key = keys
        others = self._under_way.get(key)
        if others is not None:
            found = await asyncio.shield(others)
            if found is not None and self._cache.is_true(found, self._runner.visible_ts):
                self._runner.served(call, found)
                return found
        # No task of its own, which would cost each of them: it ends with the caller that it began
        # for, and then whoever else waits asks again.
        own = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            execution = await self._runner.execute(call, None)
        except Exception as failure:
            own.set_exception(failure)
            own.exception()  # perhaps nobody else waits
            raise
        else:
            own.set_result(execution)
        finally:
            if not own.done():
                own.set_result(None)
            if self._under_way.get(key) is own:
                del self._under_way[key]
        self._cache.keep(call, keys, None, execution)
        return execution

    def leave(self, watch: _Watch, entry: _Entry) -> None:
        """A watch ended; an entry without any is given up."""
        watch.entry = None
        entry.watches.discard(watch)
        if not entry.watches and entry.running is None:
            self._drop(entry)

    # Rounds

    async def _agree(self, watches: Sequence[_Watch], not_before_ts: int) -> list[_Entry]:
        """Run what must run until one timestamp suits all; the entries, one per distinct query."""
        rounds = 0
        while True:
            entries = list(dict.fromkeys(self._entry_of(watch) for watch in watches))
            if self._newest_common(entries, not_before_ts) is not None:
                return entries
            stale = [e for e in entries if not e.fresh]
            if rounds < OPTIMISTIC_ROUNDS:
                await self._run_all(stale)
            else:
                await self._run_pinned(stale, entries)
            rounds += 1

    def _newest_common(self, entries: Sequence[_Entry], not_before_ts: int) -> int | None:
        """The newest timestamp at which all entries are true, if there is one."""
        newest = self._runner.visible_ts
        oldest = not_before_ts
        for entry in entries:
            if entry.execution is None or entry.subscription is None:
                return None
            oldest = max(oldest, entry.execution.ts)
            end = entry.subscription.invalidated_at
            if end is not None:
                newest = min(newest, end - 1)
        return newest if newest >= oldest else None

    def _entry_of(self, watch: _Watch) -> _Entry:
        """The entry that answers this watch now: shared where identity doesn't matter."""
        current = watch.entry
        if (
            current is not None
            and _answers(current, watch.call)
            and (current.keys or current.fresh)
        ):
            return current
        keys = shared_key, personal_key = keys_of(watch.call, watch.journal)
        found = self._entries.get(shared_key) or self._entries.get(personal_key)
        # What ran with this journal before may run with another next: with its own page's end.
        if (
            found is None
            or self._aged(found)
            or not (found.fresh or found.journal == watch.journal)
        ):
            found = _Entry(watch.call, watch.journal, {personal_key})
            self._entries[personal_key] = found
            kept = self._cache.find(keys, self._runner.visible_ts)
            if kept is not None:
                self._store(found, kept)
        if current is not None:
            self.leave(watch, current)
        found.watches.add(watch)
        watch.entry = found
        return found

    def _aged(self, entry: _Entry) -> bool:
        return entry.execution is not None and self._cache.aged(entry.execution)

    async def _run_all(self, entries: Sequence[_Entry]) -> None:
        """Execute entries, each once for all rounds that need it at the same time."""
        runs = [self._run(entry) for entry in entries]
        failure: BaseException | None = None
        for run in runs:
            # No shield, no gather: thousands may wait for one run.
            await run.ended.wait()
            failure = failure or run.failure
        if failure is not None:
            raise failure

    def _run(self, entry: _Entry) -> _Run:
        if entry.running is None:
            run = entry.running = _Run()
            run.task = asyncio.create_task(self._execute(entry, run))
        return entry.running

    async def _execute(self, entry: _Entry, run: _Run) -> None:
        try:
            journal = entry.journal
            again = entry.execution is not None
            execution = await self._runner.execute(entry.call, journal, again=again)
            self._cache.keep(entry.call, keys_of(entry.call, journal), journal, execution)
            self._store(entry, execution)
        except BaseException as failure:
            run.failure = failure
            if not isinstance(failure, Exception):
                raise
        finally:
            entry.running = None
            run.ended.set()
            if not entry.watches:
                self._drop(entry)

    async def _run_pinned(self, stale: Sequence[_Entry], entries: Sequence[_Entry]) -> None:
        others = [e for e in entries if e not in stale]
        executions = await self._runner.execute_pinned(
            [(e.call, e.journal) for e in stale], lambda: all(e.fresh for e in others)
        )
        if executions is not None:
            for entry, execution in zip(stale, executions, strict=True):
                self._store(entry, execution)

    def _store(self, entry: _Entry, execution: Execution) -> None:
        """Take a new result, unless a newer one came meanwhile."""
        if entry.execution is not None and entry.execution.ts > execution.ts:
            return
        if entry.subscription is not None:
            entry.subscription.close()
        entry.execution = execution
        self._file(entry, execution)
        entry.subscription = self._subscriptions.add(
            execution.reads, execution.ts, lambda _: self._invalidated(entry)
        )

    def _file(self, entry: _Entry, execution: Execution) -> None:
        """File the entry under its journals, and under its caller if the function looked at
        them.
        """
        self._unfile(entry)
        entry.personal = execution.observed_identity
        before, entry.journal = entry.journal, execution.result.journal
        for journal in {before, entry.journal}:
            key = keys_of(entry.call, journal)[entry.personal]
            superseded = self._entries.get(key)
            if superseded is not None:
                superseded.keys.discard(key)
            entry.keys.add(key)
            self._entries[key] = entry

    def _unfile(self, entry: _Entry) -> None:
        for key in entry.keys:
            if self._entries.get(key) is entry:
                del self._entries[key]
        entry.keys.clear()

    def _invalidated(self, entry: _Entry) -> None:
        """A commit changed something that the entry read."""
        for watch in list(entry.watches):
            self._tell(watch)

    def _tell(self, watch: _Watch) -> None:
        if watch.armed:
            watch.armed = False
            watch.on_stale()

    def _result(self, watch: _Watch) -> QueryResult:
        assert watch.entry is not None
        assert watch.entry.execution is not None
        watch.journal = watch.entry.journal
        return watch.entry.execution.result

    def _given(self, watch: _Watch) -> tuple[_Watch, Execution]:
        assert watch.entry is not None
        assert watch.entry.execution is not None
        return watch, watch.entry.execution

    def _serve(self, watch: _Watch, execution: Execution) -> None:
        """A watch got its first result: tell, unless it was made for this call."""
        if not watch.served:
            watch.served = True
            if execution.result.request_id != watch.call.request_id:
                self._runner.served(watch.call, execution)

    def _drop(self, entry: _Entry) -> None:
        if entry.subscription is not None:
            entry.subscription.close()
        self._unfile(entry)


def _answers(entry: _Entry, call: FunctionCall) -> bool:
    return not entry.personal or entry.call.identity == call.identity
