"""Subscribed and cached queries: one execution for everybody who asks the same.

Owns the entries (a result, what it read, and from when to when it is true), who watches them, and
the rounds that bring a client's queries to one timestamp. Never runs a function itself: it asks a
`QueryRunner`. One invariant: a result is handed out only for timestamps at which it is true.

An entry is true from the snapshot at which it ran up to the commit that changed something it read;
a round asks for one timestamp that lies in all intervals of its entries. Rounds are optimistic
first; what still disagrees runs again on a pinned snapshot, so that hot data can't starve a client.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from pyconvex import identity
from pyconvex.database import ReadSet, Subscription, Subscriptions
from pyconvex.runtime.calls import FunctionCall, QueryResult, Settled, Success, Watch

#: Rounds at own snapshots before the stragglers get a pinned one.
OPTIMISTIC_ROUNDS = 2
#: Results kept although nobody watches them, by number and by bytes.
MAX_IDLE_ENTRIES = 4096
MAX_IDLE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Execution:
    """One finished execution of a query."""

    result: QueryResult
    reads: ReadSet
    ts: int
    observed_identity: bool


class QueryRunner(Protocol):
    """What runs queries, and knows the newest timestamps."""

    @property
    def visible_ts(self) -> int:
        """The newest committed timestamp."""

    async def wait_durable(self, ts: int) -> None:
        """Return once everything up to `ts` is durable."""

    async def execute(self, call: FunctionCall, journal: str | None) -> Execution:
        """Run a query on the newest snapshot."""

    async def execute_pinned(
        self, calls: Sequence[tuple[FunctionCall, str | None]], still_true: Callable[[], bool]
    ) -> list[Execution] | None:
        """Run queries on one snapshot, at which `still_true` was asked; None when it said no."""


@dataclass(eq=False, slots=True)
class _Entry:
    """A query that runs once for all its watchers."""

    call: FunctionCall
    #: What the next execution gets; the last one's decisions.
    journal: str | None
    #: Where it is filed.
    keys: set[tuple[object, ...]] = field(default_factory=set)
    #: True when the result holds for `call.identity` only. A query never run might look at the
    #: caller, so this starts True and follows each execution.
    personal: bool = True
    execution: Execution | None = None
    #: Tells when the result stopped being true; there from the first execution on.
    subscription: Subscription | None = None
    running: asyncio.Task[None] | None = None
    watches: set[_Watch] = field(default_factory=set)

    @property
    def fresh(self) -> bool:
        """True while the result holds at the newest timestamp."""
        return self.subscription is not None and self.subscription.invalidated_at is None

    def true_at(self, ts: int) -> bool:
        """Whether the result holds at `ts`."""
        if self.execution is None or self.subscription is None or ts < self.execution.ts:
            return False
        end = self.subscription.invalidated_at
        return end is None or ts < end


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

    def close(self) -> None:
        self.armed = False
        if self.entry is not None:
            self.owner.leave(self, self.entry)


class QueryRounds:
    """The queries of all clients (`pyconvex.runtime.calls.Queries`)."""

    def __init__(self, runner: QueryRunner, subscriptions: Subscriptions) -> None:
        self._runner = runner
        self._subscriptions = subscriptions
        #: Entries that hold for every caller, and those that hold for one identity.
        self._entries: dict[tuple[object, ...], _Entry] = {}
        self._idle: OrderedDict[_Entry, int] = OrderedDict()
        self._idle_bytes = 0

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
        await self._runner.wait_durable(ts)
        return Settled(ts, results)

    async def once(self, call: FunctionCall) -> QueryResult:
        """One caller's result, from the cache where it is still true, durable."""
        watch = self.watch(call, None, lambda: None)
        try:
            settled = await self.settle([watch], 0)
        finally:
            watch.close()
        return settled.results[0]

    def leave(self, watch: _Watch, entry: _Entry) -> None:
        """A watch ended; its entry stays as a cached result while it is true."""
        watch.entry = None
        entry.watches.discard(watch)
        if entry.watches:
            return
        if entry.fresh and entry.keys and _cacheable(entry):
            self._idle[entry] = size = _entry_bytes(entry)
            self._idle_bytes += size
            while len(self._idle) > MAX_IDLE_ENTRIES or self._idle_bytes > MAX_IDLE_BYTES:
                self._drop(next(iter(self._idle)))
        elif entry.running is None:
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
                await asyncio.gather(*(self._run(entry) for entry in stale))
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
        if current is not None and _answers(current, watch.call):
            return current
        shared_key, personal_key = _keys(watch.call, watch.journal)
        found = self._entries.get(shared_key) or self._entries.get(personal_key)
        if found is None:
            found = _Entry(watch.call, watch.journal, {personal_key})
            self._entries[personal_key] = found
        if current is not None:
            self.leave(watch, current)
        self._revive(found)
        found.watches.add(watch)
        watch.entry = found
        return found

    async def _run(self, entry: _Entry) -> None:
        """Execute an entry, once for all rounds that need it at the same time."""
        if entry.running is None:
            entry.running = asyncio.create_task(self._execute(entry))
            entry.running.add_done_callback(_retrieve)
        await asyncio.shield(entry.running)

    async def _execute(self, entry: _Entry) -> None:
        try:
            self._store(entry, await self._runner.execute(entry.call, entry.journal))
        finally:
            entry.running = None
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
            key = _keys(entry.call, journal)[entry.personal]
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
        if not entry.watches and entry.running is None:
            self._drop(entry)

    def _tell(self, watch: _Watch) -> None:
        if watch.armed:
            watch.armed = False
            watch.on_stale()

    def _result(self, watch: _Watch) -> QueryResult:
        assert watch.entry is not None
        assert watch.entry.execution is not None
        watch.journal = watch.entry.journal
        return watch.entry.execution.result

    # Keeping

    def _revive(self, entry: _Entry) -> None:
        size = self._idle.pop(entry, None)
        if size is not None:
            self._idle_bytes -= size

    def _drop(self, entry: _Entry) -> None:
        self._revive(entry)
        if entry.subscription is not None:
            entry.subscription.close()
        self._unfile(entry)


def _keys(call: FunctionCall, journal: str | None) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """What makes two queries the same: for every caller, and for this caller."""
    shared = (call.component, call.path, call.args, journal, call.public_only)
    return shared, (*shared, identity.encode(call.identity))


def _answers(entry: _Entry, call: FunctionCall) -> bool:
    return not entry.personal or entry.call.identity == call.identity


def _retrieve(task: asyncio.Task[None]) -> None:
    """Mark a failure as seen: its waiters may have been cancelled."""
    if not task.cancelled():
        task.exception()


def _cacheable(entry: _Entry) -> bool:
    """Errors are never kept for callers to come."""
    return entry.execution is not None and isinstance(entry.execution.result.outcome, Success)


def _entry_bytes(entry: _Entry) -> int:
    assert entry.execution is not None
    outcome = entry.execution.result.outcome
    return len(outcome.value) + len(entry.call.args) + 512 if isinstance(outcome, Success) else 512
