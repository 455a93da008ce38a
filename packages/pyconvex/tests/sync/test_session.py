"""The shell: an ASGI WebSocket in front of a deployment in memory."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from memory_deployment import FIRST_TS, MemoryDeployment
from wire import SESSION, add, remove, ts, version

from pyconvex.auth import AdminKey, DeploymentAuthenticator
from pyconvex.runtime.calls import HostError
from pyconvex.sync import SyncEndpoint, chunks

#: Longer than anything here takes, also on a busy machine.
PATIENCE_S = 10.0


class Socket:
    """A client's end of an ASGI WebSocket."""

    def __init__(
        self, deployment: MemoryDeployment, path: str = "/api/sync", **options: Any
    ) -> None:
        self.path = path
        authenticator = DeploymentAuthenticator(AdminKey("x|goodkey"))
        self.endpoint = SyncEndpoint(deployment, authenticator, **options)
        self.deployment = deployment
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        #: While cleared, the socket takes no frame.
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.task: asyncio.Task[None] | None = None
        self.query_set = 0

    async def __aenter__(self) -> Socket:
        self.incoming.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": self.path}
        self.task = asyncio.create_task(self.endpoint(scope, self.incoming.get, self._send))
        assert (await self.next_event())["type"] == "websocket.accept"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        assert self.task is not None
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1005})
        await asyncio.wait_for(self.task, PATIENCE_S)

    async def _send(self, event: Any) -> None:
        await self.flowing.wait()
        self.outgoing.put_nowait(event)

    async def next_event(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.outgoing.get(), PATIENCE_S)

    async def next(self) -> dict[str, Any]:
        event = await self.next_event()
        assert event["type"] == "websocket.send", event
        message: dict[str, Any] = json.loads(event["text"])
        return message

    def say(self, type: str, **fields: Any) -> None:
        text = json.dumps({"type": type, **fields})
        self.incoming.put_nowait({"type": "websocket.receive", "text": text, "bytes": None})

    def connect(self, count: int = 0, session: str = SESSION) -> None:
        self.say("Connect", sessionId=session, connectionCount=count, lastCloseReason=None)

    def modify(self, *modifications: dict[str, Any]) -> None:
        base, self.query_set = self.query_set, self.query_set + 1
        changes = list(modifications)
        self.say(
            "ModifyQuerySet", baseVersion=base, newVersion=self.query_set, modifications=changes
        )

    def mutate(self, request_id: int, path: str, **args: Any) -> None:
        self.say("Mutation", requestId=request_id, udfPath=path, args=[args])


def on_socket(
    test: Callable[[Socket], Awaitable[None]], deployment: MemoryDeployment | None = None
) -> MemoryDeployment:
    async def run() -> MemoryDeployment:
        used = deployment or MemoryDeployment()
        async with Socket(used) as socket:
            await test(socket)
        assert used.watching == set()
        return used

    return asyncio.run(run())


def test_a_subscription_follows_a_mutation() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.modify(add(0, "messages:list"))
        first = await socket.next()
        assert first["endVersion"] == version(1, 0, FIRST_TS)
        assert first["modifications"][0]["value"] == []
        socket.mutate(0, "messages:send", author="Ann", body="hi")
        response, second = await socket.next(), await socket.next()
        assert (response["type"], response["ts"]) == ("MutationResponse", ts(FIRST_TS + 1000))
        assert second["startVersion"] == first["endVersion"]
        assert second["endVersion"]["ts"] == response["ts"]
        assert second["modifications"][0]["value"] == [{"author": "Ann", "body": "hi"}]

    on_socket(talk)


@pytest.mark.parametrize(
    ("path", "in_parts"),
    [("/api/1.48.0/sync", True), ("/api/1.27.3/sync", False), ("/api/sync", False)],
)
def test_a_large_transition_comes_in_parts_to_clients_that_take_them(
    path: str, in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_FRAME", 1000)
    body = '"é😀' * 900

    async def talk() -> None:
        deployment = MemoryDeployment()
        deployment.commit({"messages": [{"author": "Ann", "body": body}]})
        async with Socket(deployment, path) as socket:
            socket.connect()
            socket.modify(add(0, "messages:list"))
            received = [await socket.next()]
            while len(received) < received[0].get("totalParts", 1):
                received.append(await socket.next())
            if in_parts:
                assert len(received) > 2
                assert [part["partNumber"] for part in received] == [*range(len(received))]
                assert {part["type"] for part in received} == {"TransitionChunk"}
                assert len({part["transitionId"] for part in received}) == 1
                received = [json.loads("".join(part["chunk"] for part in received))]
            [transition] = received
            assert transition["type"] == "Transition"
            assert transition["modifications"][0]["value"][0]["body"] == body
            socket.mutate(0, "messages:send", author="Ann", body="hi", room="other")
            assert (await socket.next())["type"] == "MutationResponse", "which is never cut"

    asyncio.run(talk())


def test_a_clients_own_writes_are_never_shown_before_the_answer() -> None:
    """Else they would come on top of the optimistic update that still stands for them."""

    async def talk(socket: Socket) -> None:
        deployment = socket.deployment
        settled = asyncio.Event()
        settle = deployment.settle

        async def noting(*args: Any) -> Any:
            found = await settle(*args)
            settled.set()
            return found

        socket.connect()
        socket.modify(add(0, "messages:list"))
        await socket.next()
        deployment.settle = noting  # type: ignore[method-assign]
        deployment.answering.clear()
        socket.mutate(0, "messages:send", author="Ann", body="hi")
        await asyncio.wait_for(settled.wait(), PATIENCE_S)
        for _ in range(20):
            await asyncio.sleep(0)
        assert socket.outgoing.empty()
        deployment.answering.set()
        response, transition = await socket.next(), await socket.next()
        assert response["type"] == "MutationResponse"
        assert transition["modifications"][0]["value"] == [{"author": "Ann", "body": "hi"}]
        # It is the one that follows every answer: PyPI's client tells its queries' results at each.
        socket.mutate(1, "messages:send", author="Ann", body="again")
        kinds = [(await socket.next())["type"] for _ in range(2)]
        assert kinds == ["MutationResponse", "Transition"]

    on_socket(talk)


def test_others_writes_are_shown_while_a_mutation_runs() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.modify(add(0, "counters:get", {"name": "x"}))
        await socket.next()
        socket.deployment.gate.clear()
        socket.mutate(0, "messages:send", author="Ann", body="hi")
        await asyncio.sleep(0)
        socket.deployment.commit({"counter:x": 3.0})
        transition = await socket.next()
        assert transition["modifications"][0]["value"] == 3.0
        socket.deployment.gate.set()
        assert (await socket.next())["type"] == "MutationResponse"

    on_socket(talk)


def test_what_arrives_together_is_one_transition() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect(count=1)
        socket.say("Authenticate", baseVersion=0, tokenType="Admin", value="x|goodkey")
        socket.modify(add(0, "messages:list"))
        socket.modify(add(1, "users:whoami"), add(2, "counters:secret", {"name": "x"}))
        transition = await socket.next()
        assert transition["endVersion"] == version(2, 1, FIRST_TS)
        values = [m["value"] for m in transition["modifications"]]
        assert values == [[], "admin", 0.0]

    on_socket(talk)


def test_one_commit_is_one_transition_for_many_queries() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.modify(*(add(n, "counters:get", {"name": "x", "n": n}) for n in range(5)))
        await socket.next()
        socket.deployment.commit({"counter:x": 3.0})
        transition = await socket.next()
        assert [m["value"] for m in transition["modifications"]] == [3.0] * 5

    deployment = on_socket(talk)
    assert deployment.runs["counters:get"] == 10


def test_an_equal_result_is_an_empty_transition() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.modify(add(0, "counters:sign", {"name": "x"}))
        await socket.next()
        socket.deployment.commit({"counter:x": 3.0})
        assert (await socket.next())["modifications"] == []

    on_socket(talk)


def test_removed_queries_are_not_watched() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.modify(add(0, "counters:get", {"name": "x"}))
        await socket.next()
        assert len(socket.deployment.watching) == 1
        socket.modify(remove(0))
        assert (await socket.next())["modifications"] == [{"type": "QueryRemoved", "queryId": 0}]
        assert socket.deployment.watching == set()

    on_socket(talk)


def test_two_clients_share_one_execution() -> None:
    async def run() -> None:
        deployment = MemoryDeployment()
        async with Socket(deployment) as one, Socket(deployment) as two:
            for socket in (one, two):
                socket.connect()
                socket.modify(add(0, "messages:list"))
                await socket.next()
            two.mutate(0, "messages:send", author="a", body="b")
            seen = [await one.next(), await two.next(), await two.next()]
            assert seen[0]["modifications"] == seen[2]["modifications"]
        assert deployment.runs["messages:list"] == 2

    asyncio.run(run())


def test_a_repeated_mutation_is_answered_with_its_first_outcome() -> None:
    async def run() -> None:
        deployment = MemoryDeployment()
        responses = []
        for count in range(2):
            async with Socket(deployment) as socket:
                socket.connect(count, SESSION.replace("-", "") if count else SESSION)
                socket.modify()
                socket.mutate(0, "counters:add", name="x", by=2)
                # Alone or together with the next, a Transition comes too; only the answer counts.
                frames = [await socket.next(), await socket.next()]
                responses += [f for f in frames if f["type"] == "MutationResponse"]
        assert responses[0] == responses[1]
        assert responses[0]["result"] == 2.0
        assert deployment.runs["counters:add"] == 1

    asyncio.run(run())


def test_mutations_that_wait_die_with_the_connection_and_the_running_one_does_not() -> None:
    async def run() -> None:
        deployment = MemoryDeployment()
        deployment.gate.clear()
        async with Socket(deployment) as socket:
            socket.connect()
            socket.mutate(0, "counters:add", name="x", by=1)
            socket.mutate(1, "counters:add", name="x", by=10)
            socket.say("Action", requestId=2, udfPath="counters:add_from_action",
                       args=[{"name": "y", "by": 1}])  # fmt: skip
            while len(socket.endpoint._running) < 2:
                await asyncio.sleep(0)
        deployment.gate.set()
        async with asyncio.timeout(PATIENCE_S):
            while socket.endpoint._running:
                await asyncio.sleep(0)
        assert deployment.store == {"counter:x": 1.0, "counter:y": 1.0}

    asyncio.run(run())


def test_a_bad_token_is_told_and_the_socket_closed() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.say(
            "Authenticate", baseVersion=0, tokenType="User", value="eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
        )
        socket.modify(add(0, "messages:list"))
        error = await socket.next()
        assert (error["type"], error["authUpdateAttempted"]) == ("AuthError", True)
        assert "No auth provider" in error["error"]
        assert await socket.next_event() == {
            "type": "websocket.close",
            "code": 1000,
            "reason": "",
        }

    on_socket(talk)


def test_nonsense_is_fatal_in_text_and_in_bytes() -> None:
    for frame in ({"text": "nonsense"}, {"text": None, "bytes": b"\xff"}):

        async def talk(socket: Socket, frame: dict[str, Any] = frame) -> None:
            socket.incoming.put_nowait({"type": "websocket.receive", **frame})
            assert (await socket.next())["type"] == "FatalError"
            assert (await socket.next_event())["type"] == "websocket.close"

        on_socket(talk)


OVERLOAD = HostError(503, "OptimisticConcurrencyControlFailure", "again and again")


@pytest.mark.parametrize(
    ("path", "fault", "close"),
    [
        ("messages:list", OVERLOAD, (1013, "OptimisticConcurrencyControlFailure")),
        ("messages:list", RuntimeError("a bug"), (1011, "InternalServerError")),
        ("counters:add", OVERLOAD, (1013, "OptimisticConcurrencyControlFailure")),
        ("counters:add", RuntimeError("a bug"), (1011, "InternalServerError")),
    ],
)
def test_a_host_that_can_not_closes_the_socket_for_a_retry(
    path: str, fault: Exception, close: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(socket: Socket) -> None:
        socket.deployment.faults[path] = fault
        socket.connect()
        if path == "counters:add":
            socket.mutate(0, path, name="x", by=1)
        else:
            socket.modify(add(0, path))
        event = await socket.next_event()
        assert (event["type"], event["code"], event["reason"]) == ("websocket.close", *close)

    with caplog.at_level(logging.CRITICAL):
        on_socket(talk)


@pytest.mark.parametrize("fault", [OVERLOAD, RuntimeError("a bug")])
def test_an_action_that_can_not_run_is_answered(fault: Exception) -> None:
    async def talk(socket: Socket) -> None:
        socket.deployment.faults["values:echo_action"] = fault
        socket.connect()
        socket.say("Action", requestId=5, udfPath="values:echo_action", args=[{}])
        response = await socket.next()
        assert (response["requestId"], response["success"]) == (5, False)
        assert (await socket.next())["type"] == "Transition"

    on_socket(talk)


def test_a_slow_socket_skips_states() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.modify(add(0, "counters:get", {"name": "x"}))
        await socket.next()
        socket.flowing.clear()
        for number in range(1, 51):
            socket.deployment.commit({"counter:x": float(number)})
            for _ in range(10):
                await asyncio.sleep(0)
        socket.flowing.set()
        values = [0.0]
        while values[-1] != 50.0:
            (change,) = (await socket.next())["modifications"]
            values.append(change["value"])
        assert len(values) <= 5

    on_socket(talk)


def test_a_client_that_does_not_read_is_not_read() -> None:
    async def talk(socket: Socket) -> None:
        socket.connect()
        socket.flowing.clear()
        for number in range(1000):
            socket.say("Action", requestId=number, udfPath="no path", args=[{}])
            await asyncio.sleep(0)
        assert socket.incoming.qsize() > 500
        socket.flowing.set()
        answers = 0
        while answers < 1000:
            answers += (await socket.next())["type"] == "ActionResponse"

    on_socket(talk)


def test_pings_come_by_the_clock() -> None:
    async def run() -> None:
        from pyconvex.sync.protocol import Instant

        seconds = [0.0]

        def clock() -> Instant:
            seconds[0] += 16.0  # each look at the clock is a quarter of a minute later
            return Instant(seconds[0], 1)

        async with Socket(MemoryDeployment(), clock=clock) as socket:
            assert await socket.next() == {"type": "Ping"}
            assert await socket.next() == {"type": "Ping"}

    asyncio.run(run())
