"""The sync protocol of one connection, without I/O.

Owns versions, identity, the order of requests, and when a Transition or Ping is due. Never awaits,
reads a clock or touches a socket: frames, outcomes and time come in as arguments, effects go out.
One invariant: every Transition starts at the version where the last one ended, and everything in
it is true at its timestamp.

A shell feeds `received`, `verified` or `refused`, `mutation_finished`, `action_finished`, `stale`,
`transition_sent` and `tick`, and after each carries out `effects()`. When everything readable has
been fed and `due` says so, it takes a round from `begin`, has the host settle it, and feeds
`settled`. After a `Close` effect nothing has an effect any more.
"""

from __future__ import annotations

import enum
import hashlib
import uuid
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pyconvex.identity import ANONYMOUS, AuthenticationError, Verified
from pyconvex.runtime.calls import (
    Failure,
    FunctionCall,
    FunctionKind,
    HostError,
    Outcome,
    Replay,
    Settled,
    Success,
)
from pyconvex.sync import messages
from pyconvex.sync.messages import StateVersion
from pyconvex.sync.queryset import QuerySet, Round, function_call
from pyconvex.sync.results import ResultEncoder

#: npm clients give a silent connection up after 60 s, Rust and Python ones after 30 s.
PING_AFTER_S = 15.0
#: A client that comes back sends all its queries right after Connect; waiting that long for them
#: keeps its screen from falling back to "loading". A client without queries loses nothing else.
RECONNECT_GRACE_S = 0.1
#: A socket slower than our results skips states instead of queueing them, as Convex does.
MAX_UNSENT_TRANSITIONS = 2
#: Mutations, or messages behind a credential in verification, that may wait: Convex's number.
MAX_QUEUED = 1000

CLOSE_NORMAL = 1000
CLOSE_INTERNAL = 1011
CLOSE_TRY_AGAIN = 1013


class Instant(NamedTuple):
    """Now, by the clock for durations and by the calendar."""

    monotonic_s: float
    unix_ns: int


class Send(NamedTuple):
    """Send one text frame; when it is a transition and has left, call `transition_sent`."""

    frame: bytes
    is_transition: bool = False


class Close(NamedTuple):
    """Close the socket, after all frames before this."""

    code: int
    reason: str = ""


class Verify(NamedTuple):
    """Verify this credential, then call `verified` or `refused`."""

    token_type: str
    value: str
    acting_as: bytes | None


class RunMutation(NamedTuple):
    """Run this, then call `mutation_finished` or `host_failed`; no other runs meanwhile."""

    call: FunctionCall
    replay: Replay


class RunAction(NamedTuple):
    """Run this, then call `action_finished`."""

    request_id: int
    call: FunctionCall


Effect = Send | Close | Verify | RunMutation | RunAction


class State(enum.Enum):
    """Where the connection is in its life; it only moves forward."""

    AWAITING_CONNECT = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()


class _Waiting(NamedTuple):
    """A mutation in the queue, with the caller who asked for it."""

    request_id: int
    call: FunctionCall | Failure
    caller: Verified


class SyncProtocol:
    """The server's side of one connection."""

    def __init__(
        self, encoder: ResultEncoder, *, new_request_id: Callable[[], str], now: Instant
    ) -> None:
        self.state = State.AWAITING_CONNECT
        #: The end of the last Transition.
        self.sent = StateVersion()
        self._encoder = encoder
        self._effects: list[Effect] = []
        #: "" until Connect.
        self._session_id = ""
        self._clock_skew_ms: int | msgspec.UnsetType = msgspec.UNSET
        #: Until then a reconnected client is given time to send its queries; None when it has.
        self._grace_ends_s: float | None = None
        self._last_sent_s = now.monotonic_s

        self._queries = QuerySet(encoder, new_request_id=new_request_id)
        #: What the client has asked for, which the next round takes it to.
        self._query_set_version = 0
        self._identity_version = 0
        self._caller = Verified(ANONYMOUS)
        #: True from a Verify effect to its answer; messages that arrive meanwhile wait in `_inbox`.
        self._verifying = False
        self._inbox: deque[messages.ClientMessage] = deque()

        self._mutations: deque[_Waiting] = deque()
        #: The mutation that runs; None when none does.
        self._running: _Waiting | None = None

        #: True from a commit that changed what a query has read to the round that follows.
        self._stale = False
        #: True from an answer to the Transition at or behind its timestamp, which clients wait for.
        self._owed = False
        #: The newest commit that a response has told of; the next Transition shows it.
        self._reveal_ts = 0
        #: The versions that the round in flight goes to; None when none is in flight.
        self._target: StateVersion | None = None
        self._unsent_transitions = 0

    # --- what happened

    def received(self, frame: str | bytes, now: Instant) -> None:
        """One frame arrived."""
        if self.state is State.CLOSED:
            return
        try:
            message = messages.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._fail(f"Received a message that is not in the protocol: {error}", now)
        if len(self._inbox) >= MAX_QUEUED:
            return self._close(CLOSE_TRY_AGAIN, "TooManyConcurrentRequests")
        self._inbox.append(message)
        self._read_inbox(now)

    def verified(self, caller: Verified, now: Instant) -> None:
        """The credential was good: from here on the client is this caller."""
        self._verifying = False
        self._become(caller)
        self._read_inbox(now)

    def refused(self, error: AuthenticationError, now: Instant) -> None:
        """The credential was not good."""
        self._verifying = False
        if error.status >= 500:
            # The provider can't be reached: the client, told to come again, stays logged in.
            return self._close(CLOSE_TRY_AGAIN, error.code)
        self._refuse(error.message, attempted=True, now=now)

    def mutation_finished(self, outcome: Outcome, now: Instant) -> None:
        """The running mutation ended; the next one may start."""
        waiting, self._running = self._running, None
        if self.state is State.CLOSED or waiting is None:
            return
        self._respond_to_mutation(waiting.request_id, outcome, now)
        self._run_next_mutation(now)

    def action_finished(self, request_id: int, outcome: Outcome, now: Instant) -> None:
        """An action ended."""
        if self.state is State.CLOSED:
            return
        trace_id = self._trace_id(request_id)
        self._send(self._encoder.action_response(request_id, outcome, trace_id), now)
        self._owe(outcome)

    def stale(self) -> None:
        """A commit changed what some query has read."""
        self._stale = True

    def settled(self, settled: Settled, now: Instant) -> None:
        """The round in flight has its results."""
        target, self._target = self._target, None
        if self.state is State.CLOSED or target is None:
            return
        if settled.ts < target.ts:
            raise RuntimeError("The host settled a round in the past.")
        end = msgspec.structs.replace(target, ts=settled.ts)
        transition = messages.Transition(
            start_version=self.sent.json(),
            end_version=end.json(),
            modifications=self._queries.finish(settled.results),
            client_clock_skew=self._clock_skew_ms,
            server_ts=now.unix_ns,
        )
        self.sent = end
        if settled.ts >= self._reveal_ts:
            self._owed = False
        self._unsent_transitions += 1
        self._send(transition, now)

    def transition_sent(self) -> None:
        """A Transition has left the process."""
        self._unsent_transitions -= 1

    def host_failed(self, error: HostError) -> None:
        """A mutation or a round could not be carried out: the client comes back and asks again."""
        overloaded = error.status in (429, 503)
        self._close(CLOSE_TRY_AGAIN if overloaded else CLOSE_INTERNAL, error.code)

    def tick(self, now: Instant) -> None:
        """Time has passed."""
        if self._grace_ends_s is not None and now.monotonic_s >= self._grace_ends_s:
            self._grace_ends_s = None
        if self.state is not State.CLOSED and now.monotonic_s - self._last_sent_s >= PING_AFTER_S:
            self._send(messages.Ping(), now)

    def closed(self) -> None:
        """The client has gone."""
        self.state = State.CLOSED
        self._mutations.clear()
        self._inbox.clear()

    # --- what to do

    def effects(self) -> list[Effect]:
        """What to do now, in order; each effect is handed out once."""
        effects, self._effects = self._effects, []
        return effects

    @property
    def due(self) -> bool:
        """True when a round should begin."""
        behind = not self.sent.reaches(self._query_set_version, self._identity_version)
        return (
            (self._stale or self._owed or behind)
            and self.state is State.OPEN
            and self._target is None
            and not self._verifying
            and self._grace_ends_s is None
            and self._unsent_transitions < MAX_UNSENT_TRANSITIONS
        )

    def begin(self, now: Instant) -> Round | None:
        """Begin a round; None when none is due after all, or the caller's token has expired."""
        if not self.due or self._expired(self._caller, now):
            return None
        self._stale = False
        not_before_ts = max(self.sent.ts, self._reveal_ts)
        self._target = StateVersion(self._query_set_version, self._identity_version, not_before_ts)
        return self._queries.begin(self._caller.identity, self._identity_version, not_before_ts)

    def wake_at_s(self) -> float:
        """When, by the clock for durations, `tick` has something to do."""
        ping = self._last_sent_s + PING_AFTER_S
        return ping if self._grace_ends_s is None else min(ping, self._grace_ends_s)

    def check(self) -> None:
        """Raise `AssertionError` when the state contradicts itself."""
        assert self.state is not State.AWAITING_CONNECT or not len(self._queries)
        assert self.sent.query_set <= self._query_set_version
        assert self.sent.identity <= self._identity_version
        assert 0 <= self._unsent_transitions <= MAX_UNSENT_TRANSITIONS
        assert self._running is not None or not self._mutations
        assert self._verifying or not self._inbox

    # --- messages

    def _read_inbox(self, now: Instant) -> None:
        while self._inbox and not self._verifying and self.state is not State.CLOSED:
            self._read(self._inbox.popleft(), now)

    def _read(self, message: messages.ClientMessage, now: Instant) -> None:
        if isinstance(message, messages.Connect):
            return self._connect(message, now)
        if self.state is State.AWAITING_CONNECT:
            return self._fail("The first message of a connection must be Connect.", now)
        match message:
            case messages.ModifyQuerySet():
                self._modify_query_set(message, now)
            case messages.Authenticate():
                self._authenticate(message, now)
            case messages.Mutation():
                self._queue_mutation(message, now)
            case messages.Action():
                self._start_action(message, now)
            case messages.Event():
                pass

    def _connect(self, message: messages.Connect, now: Instant) -> None:
        if self.state is not State.AWAITING_CONNECT:
            return self._fail("A connection can't send Connect twice.", now)
        try:
            self._session_id = str(uuid.UUID(message.session_id))
            self._queries.client = self._session_id
        except ValueError:
            return self._fail("The session id of Connect is not a UUID.", now)
        if message.client_ts:
            self._clock_skew_ms = int(message.client_ts) - now.unix_ns // 1_000_000
        if message.connection_count:
            self._grace_ends_s = now.monotonic_s + RECONNECT_GRACE_S
        self.state = State.OPEN

    def _modify_query_set(self, message: messages.ModifyQuerySet, now: Instant) -> None:
        if message.base_version != self._query_set_version:
            return self._fail(
                f"BaseVersionMismatch: the query set is at {self._query_set_version}, and the "
                f"change starts at {message.base_version}.",
                now,
            )
        if message.new_version <= message.base_version:
            return self._fail("A change of the query set must lead to a newer version.", now)
        self._grace_ends_s = None
        self._query_set_version = message.new_version
        for change in message.modifications:
            if isinstance(change, messages.Add):
                self._queries.add(change)
            else:
                self._queries.remove(change.query_id)

    def _authenticate(self, message: messages.Authenticate, now: Instant) -> None:
        if message.base_version != self._identity_version:
            return self._fail(
                f"BaseVersionMismatch: the identity is at {self._identity_version}, and the "
                f"change starts at {message.base_version}.",
                now,
            )
        if message.token_type == "None":  # noqa: S105 - the protocol's word for no token
            return self._become(Verified(ANONYMOUS))
        if message.token_type not in ("User", "Admin"):
            return self._fail("The token type of Authenticate is not User, Admin or None.", now)
        self._verifying = True
        self._effects.append(Verify(message.token_type, message.value or "", message.identity_json))

    def _become(self, caller: Verified) -> None:
        self._caller = caller
        self._identity_version += 1

    # --- requests

    def _queue_mutation(self, message: messages.Mutation, now: Instant) -> None:
        if len(self._mutations) >= MAX_QUEUED:
            return self._close(CLOSE_TRY_AGAIN, "TooManyConcurrentMutations")
        call = self._call("mutation", message)
        if isinstance(call, FunctionCall):
            before = len(self._mutations) + (self._running is not None)
            call = msgspec.structs.replace(call, queue_length=before)
        self._mutations.append(_Waiting(message.request_id, call, self._caller))
        self._run_next_mutation(now)

    def _run_next_mutation(self, now: Instant) -> None:
        while self._mutations and self._running is None:
            waiting = self._mutations.popleft()
            if isinstance(waiting.call, Failure):
                self._respond_to_mutation(waiting.request_id, waiting.call, now)
            elif not self._expired(waiting.caller, now):
                self._running = waiting
                replay = Replay(self._session_id, waiting.request_id)
                self._effects.append(RunMutation(waiting.call, replay))

    def _start_action(self, message: messages.Action, now: Instant) -> None:
        if self._expired(self._caller, now):
            return
        call = self._call("action", message)
        if isinstance(call, Failure):
            return self.action_finished(message.request_id, call, now)
        self._effects.append(RunAction(message.request_id, call))

    def _call(
        self, kind: FunctionKind, message: messages.Mutation | messages.Action
    ) -> FunctionCall | Failure:
        trace_id = self._trace_id(message.request_id)
        return function_call(kind, message, self._caller.identity, trace_id, self._session_id)

    def _trace_id(self, request_id: int) -> str:
        """The id in logs and error texts: the same when a client repeats its request."""
        return hashlib.sha256(f"{self._session_id}|{request_id}".encode()).hexdigest()[:16]

    def _respond_to_mutation(self, request_id: int, outcome: Outcome, now: Instant) -> None:
        trace_id = self._trace_id(request_id)
        self._send(self._encoder.mutation_response(request_id, outcome, trace_id), now)
        self._owe(outcome)

    def _owe(self, outcome: Outcome) -> None:
        """A Transition must follow every response: Rust and Python clients resolve on it alone."""
        self._owed = True
        if isinstance(outcome, Success):
            self._reveal_ts = max(self._reveal_ts, outcome.ts)

    # --- the socket

    def _expired(self, caller: Verified, now: Instant) -> bool:
        if caller.expires_at_s is None or now.unix_ns < caller.expires_at_s * 1e9:
            return False
        self._refuse("The token has expired.", attempted=False, now=now)
        return True

    def _refuse(self, error: str, *, attempted: bool, now: Instant) -> None:
        if self.state is State.CLOSED:
            return
        base_version = self.sent.identity
        self._send(
            messages.AuthError(
                error=error, base_version=base_version, auth_update_attempted=attempted
            ),
            now,
        )
        self._close(CLOSE_NORMAL)

    def _fail(self, error: str, now: Instant) -> None:
        self._send(messages.FatalError(error=error), now)
        self._close(CLOSE_NORMAL)

    def _close(self, code: int, reason: str = "") -> None:
        if self.state is not State.CLOSED:
            self._effects.append(Close(code, reason))
            self.closed()

    def _send(self, message: messages.ServerMessage, now: Instant) -> None:
        self._last_sent_s = now.monotonic_s
        is_transition = isinstance(message, messages.Transition)
        self._effects.append(Send(messages.encode(message), is_transition))
