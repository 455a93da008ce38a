"""A client's side of the protocol core, for tests: messages in, parsed frames and effects out.

Holds every frame against the rules that clients rely on. Never talks to a host by itself. One
invariant: whatever a test does, `frames` raises when versions don't chain or ids repeat.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from pyconvex.runtime.calls import QueryResult, Settled, Success
from pyconvex.sync.protocol import (
    Close,
    Effect,
    Instant,
    RunAction,
    RunMutation,
    Send,
    SyncProtocol,
    Verify,
)
from pyconvex.sync.queryset import Round
from pyconvex.sync.results import ResultEncoder

E = TypeVar("E")

SESSION = "7b1d6cd4-3b5c-4a3e-9a51-0f6f3c1f5a10"
UNIX_NS = 1_787_000_000_000_000_000


def ts(number: int) -> str:
    return base64.b64encode(number.to_bytes(8, "little")).decode()


def version(query_set: int, identity: int, at: int) -> dict[str, Any]:
    return {"querySet": query_set, "identity": identity, "ts": ts(at)}


def result(value: str, *log_lines: str, journal: str | None = None) -> QueryResult:
    return QueryResult(Success(value.encode(), log_lines), journal)


class Peer:
    """One connection's core, with a clock that tests turn."""

    def __init__(self, *, redact: bool = False) -> None:
        numbers = itertools.count(1)
        encoder = ResultEncoder(redact=redact, new_request_id=lambda: f"id{next(numbers)}")
        self.seconds = 100.0
        self.protocol = SyncProtocol(
            encoder, new_request_id=lambda: f"run{next(numbers)}", now=self.now
        )
        self.query_set = 0
        self.identity = 0
        #: The end of the last Transition, as the client sees it.
        self.version = version(0, 0, 0)
        self.asked: list[Effect] = []
        self.closed: Close | None = None

    @property
    def now(self) -> Instant:
        return Instant(self.seconds, UNIX_NS + int((self.seconds - 100) * 1e9))

    # --- the client speaks

    def say(self, type: str, **fields: Any) -> None:
        self.protocol.received(json.dumps({"type": type, **fields}), self.now)

    def connect(self, **fields: Any) -> None:
        first = {"sessionId": SESSION, "connectionCount": 0, "lastCloseReason": None}
        self.say("Connect", **{**first, **fields})

    def modify(self, *modifications: dict[str, Any]) -> None:
        base, self.query_set = self.query_set, self.query_set + 1
        self.say(
            "ModifyQuerySet",
            baseVersion=base,
            newVersion=self.query_set,
            modifications=list(modifications),
        )

    def authenticate(self, token_type: str, **fields: Any) -> None:
        base, self.identity = self.identity, self.identity + 1
        self.say("Authenticate", baseVersion=base, tokenType=token_type, **fields)

    def mutate(self, request_id: int, path: str = "m:f", **args: Any) -> None:
        self.say("Mutation", requestId=request_id, udfPath=path, args=[args])

    def act(self, request_id: int, path: str = "a:f", **args: Any) -> None:
        self.say("Action", requestId=request_id, udfPath=path, args=[args])

    # --- what comes of it

    def frames(self) -> list[dict[str, Any]]:
        """What was sent since the last time; every other effect goes to `asked`."""
        frames = []
        for effect in self.protocol.effects():
            assert self.closed is None, "an effect after Close"
            match effect:
                case Send(frame, is_transition):
                    message = json.loads(frame)
                    assert is_transition is (message["type"] == "Transition")
                    self._check(message)
                    frames.append(message)
                case Close():
                    self.closed = effect
                case _:
                    self.asked.append(effect)
        self.protocol.check()
        return frames

    def take(self, kind: type[E]) -> E:
        """The oldest effect of this kind that nobody took yet."""
        assert self.frames() == []
        found = next(effect for effect in self.asked if isinstance(effect, kind))
        self.asked.remove(found)
        return found

    def round(self) -> Round:
        assert self.protocol.due
        plan = self.protocol.begin(self.now)
        assert plan is not None
        return plan

    def settle(self, at: int, results: Sequence[QueryResult] = ()) -> dict[str, Any]:
        """Begin and finish a round; the Transition, which must be all that is sent."""
        plan = self.round()
        assert len(plan.settling) == len(results)
        return self.finish(at, results)

    def finish(self, at: int, results: Sequence[QueryResult] = ()) -> dict[str, Any]:
        self.protocol.settled(Settled(at, results), self.now)
        (transition,) = self.frames()
        self.protocol.transition_sent()
        return transition

    def _check(self, message: dict[str, Any]) -> None:
        if message["type"] != "Transition":
            return
        assert message["startVersion"] == self.version
        self.version = message["endVersion"]
        ids = [modification["queryId"] for modification in message["modifications"]]
        assert len(ids) == len(set(ids))
        for modification in message["modifications"]:
            allowed = FIELDS[modification["type"]]
            assert set(modification) - {"errorData"} == allowed - {"errorData"}
            assert "errorData" in allowed or "errorData" not in modification


FIELDS = {
    "QueryUpdated": {"type", "queryId", "value", "logLines", "journal"},
    "QueryFailed": {"type", "queryId", "errorMessage", "logLines", "journal", "errorData"},
    "QueryRemoved": {"type", "queryId"},
}


def add(query_id: int, path: str = "q:f", args: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "Add",
        "queryId": query_id,
        "udfPath": path,
        "args": [{} if args is None else args],
        **more,
    }


def remove(query_id: int) -> dict[str, Any]:
    return {"type": "Remove", "queryId": query_id}


__all__ = [
    "SESSION",
    "UNIX_NS",
    "Peer",
    "RunAction",
    "RunMutation",
    "Verify",
    "add",
    "remove",
    "result",
    "ts",
    "version",
]
