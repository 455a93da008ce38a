"""Rounds over a scripted runner with real subscriptions: what is shared, and what is true when."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.database import ReadSet, Subscriptions, WriteLog
from pyconvex.identity import ANONYMOUS, Identity, User
from pyconvex.runtime.answering.cache import Execution, ResultCache
from pyconvex.runtime.answering.cache import keys_of as cache_keys
from pyconvex.runtime.answering.queries import OPTIMISTIC_ROUNDS, QueryRounds
from pyconvex.runtime.calls import Failure, FunctionCall, HostError, QueryResult, Success
from pyconvex.storage import DocumentWrite

TABLET = 5
ADA, BEA, NEW = (
    User(token_identifier=name, issuer="i", subject=name, attributes=b"{}")
    for name in ("ada", "bea", "new")
)


class World:
    """Keys with histories, and queries that read some: `a+b` reads two, `me:a` also the caller.

    `fail:a` fails, `lost:a` has no host. Executions end when `turns` says so.
    """

    def __init__(self) -> None:
        self.visible_ts = 100
        self.durable_ts = 100
        self.history: dict[str, list[int]] = {}
        self.log = WriteLog(0)
        self.subscriptions = Subscriptions(self.log)
        self.cache = ResultCache(self.log)
        self.rounds = QueryRounds(self, self.subscriptions, self.cache)
        self.runs: Counter[str] = Counter()
        self.pins = 0
        #: Calls that were answered with what another call's execution gave.
        self.kept_results: list[FunctionCall] = []
        #: Called while an execution is under way, after its snapshot was taken.
        self.meanwhile: Callable[[], None] = lambda: None
        self.pauses = 0
        #: Turns of the loop until an execution takes its snapshot, by path.
        self.delays: dict[str, int] = {}

    def commit(self, *keys: str) -> None:
        assert not self.pauses, "nothing commits in a pause"
        self.visible_ts += 10
        writes = [DocumentWrite(TABLET, key.encode().ljust(16), b"x", None) for key in keys]
        for key in keys:
            self.history.setdefault(key, []).append(self.visible_ts)
        self.log.append(self.visible_ts, writes)
        self.subscriptions.publish(self.visible_ts, writes)

    def value(self, call: FunctionCall, ts: int) -> bytes:
        """What a query gives at a timestamp."""
        seen = {key: sum(at <= ts for at in self.history.get(key, ())) for key in keys_of(call)}
        who = name_of(call.identity) if call.path.startswith("me:") else ""
        return f"{who}{sorted(seen.items())}".encode()

    def _execution(self, call: FunctionCall, ts: int) -> Execution:
        reads = ReadSet()
        for key in keys_of(call):
            reads.add_point(TABLET, key.encode().ljust(16))
        value = self.value(call, ts)
        failing = call.path.startswith("fail:")
        outcome = Failure(value.decode()) if failing else Success(value, (), ts)
        result = QueryResult(outcome, None, call.request_id)
        return Execution(result, reads.encode(), ts, call.path.startswith("me:"))

    async def wait_durable(self, ts: int) -> None:
        assert ts <= self.visible_ts
        await asyncio.sleep(0)
        self.durable_ts = max(self.durable_ts, ts)

    async def execute(
        self, call: FunctionCall, journal: str | None, *, again: bool = False
    ) -> Execution:
        self.runs[call.path] += 1
        if call.path.startswith("lost:"):
            raise HostError(503, "Overloaded", "no")
        await turns(self.delays.get(call.path, 0))
        ts = self.visible_ts
        await asyncio.sleep(0)
        self.meanwhile()
        return self._execution(call, ts)

    def served(self, call: FunctionCall, execution: Execution) -> None:
        self.kept_results.append(call)

    async def execute_pinned(
        self, calls: Sequence[tuple[FunctionCall, str | None]], still_true: Callable[[], bool]
    ) -> list[Execution] | None:
        assert calls
        self.pins += 1
        self.pauses += 1
        try:
            if not still_true():
                return None
            ts = self.visible_ts
            await asyncio.sleep(0)
        finally:
            self.pauses -= 1
        self.meanwhile()
        for call, _ in calls:
            self.runs[call.path] += 1
        return [self._execution(call, ts) for call, _ in calls]


def keys_of(call: FunctionCall) -> list[str]:
    return call.path.split(":")[-1].split("+")


def name_of(identity: Identity) -> str:
    return identity.subject if isinstance(identity, User) else "nobody"


def query(
    path: str, identity: Identity = ANONYMOUS, request_id: str = "r", **options: Any
) -> FunctionCall:
    return FunctionCall(
        kind="query",
        path=path,
        args=b"{}",
        identity=identity,
        request_id=request_id,
        origin="tester",
        **options,
    )


class Client:
    """One session: its watches, settled together, and how often it was told."""

    def __init__(self, world: World, *calls: FunctionCall) -> None:
        self.world = world
        self.calls = calls
        self.stale = [0] * len(calls)
        self.watches = [
            world.rounds.watch(call, None, lambda n=n: self.told(n)) for n, call in enumerate(calls)
        ]
        self.ts = 0
        self.results: Sequence[QueryResult] = ()

    def told(self, n: int) -> None:
        self.stale[n] += 1

    async def settle(self) -> None:
        self.stale = [0] * len(self.calls)
        asked_at = self.world.visible_ts
        self.ts, self.results = await self.world.rounds.settle(self.watches, self.ts)
        assert asked_at <= self.ts <= self.world.durable_ts
        for call, result in zip(self.calls, self.results, strict=True):
            outcome = result.outcome
            shown = outcome.value if isinstance(outcome, Success) else outcome.message.encode()
            assert shown == self.world.value(call, self.ts), (call.path, self.ts)

    def close(self) -> None:
        for watch in self.watches:
            watch.close()


def play(scenario: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    world = World()

    async def main() -> None:
        async with asyncio.timeout(10):
            await scenario(world)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert left == set()

    asyncio.run(main())
    return world


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_a_query_runs_once_for_all_who_watch_it() -> None:
    async def scenario(world: World) -> None:
        clients = [Client(world, query("a"), query("b")) for _ in range(5)]
        await asyncio.gather(*(client.settle() for client in clients))
        assert world.runs == {"a": 1, "b": 1}
        assert len({id(result) for client in clients for result in client.results}) == 2
        world.commit("a")
        assert [client.stale for client in clients] == [[1, 0]] * 5
        await asyncio.gather(*(client.settle() for client in clients))
        assert world.runs == {"a": 2, "b": 1}
        for client in clients:
            client.close()
        assert len(world.subscriptions) == 0

    play(scenario)


def test_a_call_that_gets_anothers_execution_is_told_of_once() -> None:
    async def scenario(world: World) -> None:
        first, second = Client(world, query("a", request_id="1")), query("a", request_id="2")
        await first.settle()
        assert world.kept_results == []
        late = Client(world, second)
        await late.settle()
        assert world.kept_results == [second]
        world.commit("a")
        await asyncio.gather(first.settle(), late.settle())
        assert world.kept_results == [second], "a re-run is nobody's first result"
        await world.rounds.once(query("a", request_id="3"))
        assert [call.request_id for call in world.kept_results] == ["2", "3"]
        await world.rounds.once(query("b", request_id="4"))
        asked = [query("c", request_id=name) for name in "567"]
        await asyncio.gather(*(world.rounds.once(call) for call in asked))
        assert [call.request_id for call in world.kept_results[2:]] == ["6", "7"]
        for client in (first, late):
            client.close()

    play(scenario)


def test_callers_share_what_did_not_look_at_them_from_the_second_run_on() -> None:
    async def scenario(world: World) -> None:
        clients = [Client(world, query("a", who)) for who in (ADA, BEA, ANONYMOUS)]
        await asyncio.gather(*(client.settle() for client in clients))
        assert world.runs["a"] == 3, "before it ran, nobody knows that it looks at no caller"
        for _ in range(2):
            before = world.runs["a"]
            world.commit("a")
            await asyncio.gather(*(client.settle() for client in clients))
            assert world.runs["a"] == before + 1
            assert len({id(client.results[0]) for client in clients}) == 1
        late = Client(world, query("a", NEW))
        await late.settle()
        assert world.runs["a"] == 5
        for client in (*clients, late):
            client.close()
        assert len(world.subscriptions) == 0

    play(scenario)


def test_what_looked_at_the_caller_is_never_shared() -> None:
    async def scenario(world: World) -> None:
        clients = [Client(world, query("me:a", who)) for who in (ADA, BEA, ADA)]
        for _ in range(3):
            await asyncio.gather(*(client.settle() for client in clients))
            first, second, third = (client.results[0] for client in clients)
            assert first is third
            assert first.outcome != second.outcome
            world.commit("a")
        shown = await world.rounds.once(query("me:a", BEA))
        assert b"bea" in shown.outcome.value  # type: ignore[union-attr]
        for client in clients:
            client.close()

    assert play(scenario).runs["me:a"] == 7


def test_a_stale_result_is_told_once_and_never_before_the_first_settle() -> None:
    async def scenario(world: World) -> None:
        client = Client(world, query("a"), query("b"))
        world.commit("a")
        assert client.stale == [0, 0]
        await client.settle()
        world.commit("a")
        world.commit("a")
        assert client.stale == [1, 0]
        await client.settle()
        client.close()
        client.close()
        world.commit("a", "b")
        assert client.stale == [0, 0]

    play(scenario)


def test_what_became_stale_while_it_settled_is_told_right_after() -> None:
    async def scenario(world: World) -> None:
        client = Client(world, query("a"))
        settling = asyncio.create_task(client.settle())
        while not client.watches[0].armed:
            await asyncio.sleep(0)
        world.commit("a")  # the round is agreed, and waits for the disk
        await settling
        await turns()
        assert client.stale == [1]
        client.close()

    play(scenario)


def test_hot_data_is_pinned_after_a_few_rounds() -> None:
    async def scenario(world: World) -> None:
        client = Client(world, query("a"), query("b"), query("a+b"), query("c"))
        world.meanwhile = lambda: world.commit("a", "b")
        world.delays = {"b": 2, "a+b": 4}
        await client.settle()
        assert world.pins == 1
        assert world.runs["a"] <= OPTIMISTIC_ROUNDS + 1
        assert world.runs["c"] == 1, "what is not hot runs once"
        await turns()
        assert client.stale[:3] == [1, 1, 1]
        client.close()

    play(scenario)


def test_a_cancelled_settle_leaves_no_harm() -> None:
    async def scenario(world: World) -> None:
        one, other = Client(world, query("a")), Client(world, query("a"))
        settling = asyncio.create_task(one.settle())
        await asyncio.sleep(0)
        joined = asyncio.create_task(other.settle())
        await asyncio.sleep(0)
        settling.cancel()
        await joined
        with pytest.raises(asyncio.CancelledError):
            await settling
        assert world.runs["a"] == 1
        world.commit("a")
        assert (one.stale, other.stale) == ([0], [1])
        await one.settle()
        for client in (one, other):
            client.close()
        assert len(world.subscriptions) == 0

    play(scenario)


def test_a_cancelled_settle_of_the_only_client_ends_with_its_execution() -> None:
    async def scenario(world: World) -> None:
        client = Client(world, query("a"))
        settling = asyncio.create_task(client.settle())
        await turns(2)
        settling.cancel()
        client.close()
        with pytest.raises(asyncio.CancelledError):
            await settling
        await turns()
        assert len(world.subscriptions) == 0
        assert world.rounds._entries == {}

    play(scenario)


def test_the_hosts_failure_comes_through_and_the_watches_stay() -> None:
    async def scenario(world: World) -> None:
        client = Client(world, query("a"), query("lost:b"))
        for _ in range(2):
            with pytest.raises(HostError):
                await client.settle()
            await turns()
        client.close()
        await turns()
        assert len(world.subscriptions) == 0

    play(scenario)


def test_no_watches_settle_at_the_newest_timestamp() -> None:
    async def scenario(world: World) -> None:
        world.commit("a")
        assert await world.rounds.settle([], 0) == (world.visible_ts, [])

    play(scenario)


# Once


def test_asking_once_uses_what_is_still_true() -> None:
    async def scenario(world: World) -> None:
        first = await world.rounds.once(query("a"))
        assert await world.rounds.once(query("a", ADA)) is first
        world.commit("b")
        assert await world.rounds.once(query("a")) is first
        world.commit("a")
        second = await world.rounds.once(query("a"))
        assert second is not first
        client = Client(world, query("a"))
        await client.settle()
        assert client.results == [second]
        client.close()
        assert world.runs["a"] == 2
        assert len(world.subscriptions) == 0, "asking once watches nothing"

    play(scenario)


def test_who_wrote_reads_what_it_wrote_though_others_watch_the_old() -> None:
    async def scenario(world: World) -> None:
        client = Client(world, query("a"))
        await client.settle()
        slow = asyncio.create_task(world.rounds.once(query("b")))
        await asyncio.sleep(0)
        world.commit("a", "b")
        for path in ("a", "b"):
            result = await world.rounds.once(query(path))
            assert result.outcome.value == world.value(query(path), world.visible_ts)  # type: ignore[union-attr]
        await slow
        client.close()

    play(scenario)


def test_equal_questions_at_the_same_time_run_once() -> None:
    async def scenario(world: World) -> None:
        results = await asyncio.gather(*(world.rounds.once(query("a")) for _ in range(4)))
        assert len(set(map(id, results))) == 1

    assert play(scenario).runs["a"] == 1


def test_errors_are_not_kept() -> None:
    async def scenario(world: World) -> None:
        for _ in range(2):
            result = await world.rounds.once(query("fail:a"))
            assert isinstance(result.outcome, Failure)

    assert play(scenario).runs["fail:a"] == 2


def test_a_caller_who_leaves_takes_nothing_along() -> None:
    async def scenario(world: World) -> None:
        for path in ("a", "lost:a"):
            asking = asyncio.create_task(world.rounds.once(query(path)))
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises((asyncio.CancelledError, HostError)):
                await asking
            await turns()

    play(scenario)


def test_who_waits_for_an_execution_whose_caller_leaves_asks_again() -> None:
    async def scenario(world: World) -> None:
        first, *others = [asyncio.create_task(world.rounds.once(query("a"))) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert all(isinstance(found.outcome, Success) for found in await asyncio.gather(*others))

    play(scenario)


def test_kept_results_are_bounded_by_number_and_bytes() -> None:
    def kept(cache: ResultCache, paths: str) -> str:
        return "".join(p for p in paths if cache.find(cache_keys(query(p), None), 100) is not None)

    world = World()

    def execution(path: str) -> Execution:
        return world._execution(query(path), 100)

    def keep(cache: ResultCache, path: str) -> None:
        call = query(path)
        cache.keep(call, cache_keys(call, None), None, execution(path))

    few = ResultCache(world.log, max_entries=2)
    for path in "abc":
        keep(few, path)
        assert few.find(cache_keys(query("a"), None), 100) is not None, "used, so not given up"
    assert (kept(few, "abc"), len(few)) == ("ac", 2)
    small = ResultCache(world.log, max_bytes=3000)
    for path in "abc":
        keep(small, path)
    assert kept(small, "abc") == "bc"
    for _ in range(5):  # the same again takes no more room
        keep(small, "c")
    assert kept(small, "abc") == "bc"
    keep(small, "d" * 4000)
    assert len(small) == 0, "what is too large alone is not kept"
    keep(small, "fail:a")
    assert len(small) == 0


# Any interleaving

PATHS = st.sampled_from(["a", "b", "a+b", "b+c", "me:a", "me:c", "fail:b"])
CLIENTS = st.lists(
    st.tuples(st.sampled_from([ADA, BEA, ANONYMOUS]), st.lists(PATHS, max_size=4)),
    min_size=1,
    max_size=4,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sets(st.sampled_from("abcd"), min_size=1)),
        st.tuples(st.just("settle"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 3)),
        st.tuples(st.just("once"), PATHS),
        st.tuples(st.just("turns"), st.integers(1, 4)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(clients=CLIENTS, steps=STEPS, hot=st.booleans())
def test_every_result_is_true_at_its_timestamp_and_everyone_is_told(
    clients: list[tuple[Identity, list[str]]], steps: list[tuple[str, Any]], hot: bool
) -> None:
    async def scenario(world: World) -> None:
        sessions = [Client(world, *(query(p, who) for p in paths)) for who, paths in clients]
        settling: dict[int, asyncio.Task[None]] = {}
        once: list[asyncio.Task[QueryResult]] = []
        world.delays = {"b": 1, "me:a": 3}
        if hot:
            world.meanwhile = lambda: world.commit("a")
        for step, what in steps:
            place = what % len(sessions) if isinstance(what, int) else 0
            match step:
                case "commit":
                    if not world.pauses:
                        world.commit(*what)
                case "settle" if place not in settling or settling[place].done():
                    settling[place] = asyncio.create_task(sessions[place].settle())
                case "cancel" if place in settling:
                    settling[place].cancel()
                case "once":
                    once.append(asyncio.create_task(world.rounds.once(query(what))))
                case "turns":
                    await turns(what)
        world.meanwhile = lambda: None
        await asyncio.gather(*once)
        ends = await asyncio.gather(*settling.values(), return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends), ends
        await turns()
        for session in sessions:
            await check_told(session)
            session.close()
        await turns()
        assert len(world.subscriptions) == 0
        assert world.rounds._entries == {}

    play(scenario)


async def check_told(session: Client) -> None:
    """Settle once more, then change each key: each watch that reads it is told, once."""
    world = session.world
    await session.settle()
    for key in "abc":
        before = list(session.stale)
        world.commit(key)
        for n, call in enumerate(session.calls):
            assert session.stale[n] == max(before[n], int(key in keys_of(call))), (key, call.path)
