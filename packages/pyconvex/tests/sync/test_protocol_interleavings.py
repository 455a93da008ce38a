"""Any interleaving of what a client says and what a host does keeps the protocol's promises.

`Peer` holds every frame against the rules (versions chain, one modification per query id); the
machine here plays client and host, and at the end compares what the client sees with what is true.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from wire import Peer, add, remove, ts

from pyconvex.identity import User, Verified
from pyconvex.runtime.calls import Failure, QueryResult, Settled, Success
from pyconvex.sync.protocol import Close, RunAction, RunMutation, Send, Verify

ANN = User(token_identifier="i|ann", issuer="i", subject="ann", attributes=b"{}")
PATHS = ("a:f", "b:f", "no path")


class Interleavings(RuleBasedStateMachine):
    """One client, one host whose two queries have the values `truth`."""

    @initialize(returning=st.booleans())
    def begin_connection(self, returning: bool) -> None:
        self.peer = Peer()
        self.peer.connect(connectionCount=int(returning))
        self.truth = {"a:f": 0, "b:f": 0}
        self.clock = 1
        self.subscribed: dict[int, str] = {}
        self.seen: dict[int, Any] = {}
        self.requests: list[tuple[str, int]] = []
        self.answered: list[tuple[str, int]] = []
        self.last_response_ts = 0
        self.transition_owed = False
        self.results: dict[str, QueryResult] = {}
        self.flight: list[str] | None = None
        #: The path behind each watch that the host has.
        self.watching: dict[int, str] = {}
        self.unsent = 0
        self.mutation: RunMutation | None = None
        self.actions: list[RunAction] = []
        self.verifying = False

    # --- the client

    @rule(
        changes=st.lists(st.tuples(st.integers(0, 3), st.sampled_from((*PATHS, None))), max_size=4)
    )
    def modify(self, changes: list[tuple[int, str | None]]) -> None:
        modifications = []
        for query_id, path in changes:
            if path is None:
                self.subscribed.pop(query_id, None)
                modifications.append(remove(query_id))
            elif query_id not in self.subscribed:
                self.subscribed[query_id] = path
                modifications.append(add(query_id, path))
        self.peer.modify(*modifications)
        self.look()

    @rule(token_type=st.sampled_from(("None", "User")))
    def authenticate(self, token_type: str) -> None:
        self.peer.authenticate(token_type, value="t")
        self.look()

    @rule(kind=st.sampled_from(("Mutation", "Action")), path=st.sampled_from(("m:f", "no path")))
    def request(self, kind: str, path: str) -> None:
        request_id = len(self.requests)
        self.requests.append((kind, request_id))
        self.peer.say(kind, requestId=request_id, udfPath=path, args=[{}])
        self.look()

    # --- the host

    @precondition(lambda self: self.verifying)
    @rule()
    def verify(self) -> None:
        self.verifying = False
        self.peer.protocol.verified(Verified(ANN), self.peer.now)
        self.look()

    @precondition(lambda self: self.mutation)
    @rule(writes=st.sampled_from(("a:f", "b:f", None)), fails=st.booleans())
    def finish_mutation(self, writes: str | None, fails: bool) -> None:
        self.mutation = None
        if fails:
            outcome: Success | Failure = Failure("no")
        else:
            self.commit(writes)
            outcome = Success(b"null", (), self.clock)
        self.peer.protocol.mutation_finished(outcome, self.peer.now)
        self.look()

    @precondition(lambda self: self.actions)
    @rule(choice=st.randoms(use_true_random=False))
    def finish_action(self, choice: Any) -> None:
        action = self.actions.pop(choice.randrange(len(self.actions)))
        outcome = Success(b"null", (), self.clock)
        self.peer.protocol.action_finished(action.request_id, outcome, self.peer.now)
        self.look()

    @rule(path=st.sampled_from(("a:f", "b:f")))
    def commit(self, path: str | None) -> None:
        """Somebody else's commit, or this client's."""
        self.clock += 1
        if path is not None:
            self.truth[path] += 1
            self.results.pop(path, None)
            if path in self.watching.values():
                self.peer.protocol.stale()

    @precondition(lambda self: self.flight is None)
    @rule()
    def begin_round(self) -> None:
        plan = self.peer.protocol.begin(self.peer.now)
        self.look()
        if plan is None:
            return
        for opening in plan.opening:
            self.watching[opening.serial] = opening.call.path
        for serial in plan.closing:
            del self.watching[serial]
        assert set(plan.settling) == set(self.watching)
        assert plan.not_before_ts <= self.clock
        self.flight = [self.watching[serial] for serial in plan.settling]

    @precondition(lambda self: self.flight is not None)
    @rule()
    def finish_round(self) -> None:
        assert self.flight is not None
        flight, self.flight = self.flight, None
        results = [self.result(path) for path in flight]
        self.peer.protocol.settled(Settled(self.clock, results), self.peer.now)
        self.look()

    @precondition(lambda self: self.unsent)
    @rule()
    def transition_leaves(self) -> None:
        self.unsent -= 1
        self.peer.protocol.transition_sent()

    @rule(seconds=st.sampled_from((0.05, 1.0, 20.0)))
    def time_passes(self, seconds: float) -> None:
        self.peer.seconds += seconds
        self.peer.protocol.tick(self.peer.now)
        self.look()

    # --- what the client sees

    @invariant()
    def the_state_makes_sense(self) -> None:
        if hasattr(self, "peer"):
            self.peer.protocol.check()
            assert self.peer.closed is None

    def result(self, path: str) -> QueryResult:
        if path not in self.results:
            self.results[path] = QueryResult(Success(b"%d" % self.truth[path]))
        return self.results[path]

    def look(self) -> None:
        for frame in self.peer.frames():
            if frame["type"] == "Transition":
                self.unsent += 1
                self.transition_owed = False
                for change in frame["modifications"]:
                    if change["type"] == "QueryRemoved":
                        self.seen.pop(change["queryId"], None)
                    else:
                        self.seen[change["queryId"]] = change.get("value", "failed")
            elif frame["type"].endswith("Response"):
                self.answered.append((frame["type"].removesuffix("Response"), frame["requestId"]))
                self.transition_owed = True
                if frame.get("ts"):
                    self.last_response_ts = max(self.last_response_ts, self.clock)
        self.take_effects()

    def take_effects(self) -> None:
        for effect in self.peer.asked:
            match effect:
                case RunMutation():
                    assert self.mutation is None, "two mutations at once"
                    self.mutation = effect
                case RunAction():
                    self.actions.append(effect)
                case Verify():
                    assert not self.verifying
                    self.verifying = True
                case Send() | Close():
                    raise AssertionError(effect)
        self.peer.asked.clear()

    def teardown(self) -> None:
        """Let everything come to rest: all is answered, and the client sees the truth."""
        if not hasattr(self, "peer"):
            return
        self.time_passes(1.0)
        while self.verifying or self.mutation or self.actions or self.flight is not None:
            if self.verifying:
                self.verify()
            if self.mutation:
                self.finish_mutation(None, False)
            while self.actions:
                self.peer.protocol.action_finished(
                    self.actions.pop().request_id, Failure("x"), self.peer.now
                )
                self.look()
            if self.flight is not None:
                self.finish_round()
        while self.unsent:
            self.transition_leaves()
        while self.peer.protocol.due:
            self.begin_round()
            self.finish_round()
            self.transition_leaves()
        self.compare()

    def compare(self) -> None:
        assert sorted(self.answered) == sorted(self.requests)
        mutations = [request for request in self.answered if request[0] == "Mutation"]
        assert mutations == sorted(mutations)
        assert not self.transition_owed
        end = self.peer.version
        assert (end["querySet"], end["identity"]) == (self.peer.query_set, self.peer.identity)
        assert self.peer.protocol.sent.ts >= self.last_response_ts
        assert end["ts"] == ts(self.peer.protocol.sent.ts)
        expected = {
            query_id: self.truth.get(path, "failed") for query_id, path in self.subscribed.items()
        }
        assert self.seen == expected


Interleavings.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, print_blob=True
)
TestInterleavings = Interleavings.TestCase
