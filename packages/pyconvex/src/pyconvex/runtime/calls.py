"""A call to a function, how it ended, and the host that runs it: what the edges see of the runtime.

Owns the values that cross that seam and the protocols behind it. Never runs anything, and never
decodes arguments or results: both stay tagged JSON bytes. One invariant: whatever a host returned
is durable, so an edge may send it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from pyconvex.identity import Identity
from pyconvex.runlog.traces import NO_TRACE, TraceContext

FunctionKind = Literal["query", "mutation", "action"]
#: What runs: a function, or an HTTP action, which only a route names.
CallKind = Literal["query", "mutation", "action", "http_action"]

#: Who made the call, in the words of Convex's execution records.
Origin = Literal[
    "webSocket",
    "identityChange",
    "httpApi",
    "httpEndpoint",
    "cron",
    "scheduler",
    "action",
    "tester",
]


class JobRef(msgspec.Struct, frozen=True, array_like=True):
    """The scheduled function or cron job that a run belongs to.

    `home` is the component whose table has it. With `itself` the run is the job; otherwise it is a
    run that the job has called.
    """

    kind: Literal["job", "cron"]
    home: str
    id: str
    itself: bool


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """One function to run, for whom, and why.

    `path` is in the form that `canonical_path` returns. `component` is "" for the app itself.
    `args` is a JSON object in the tagged encoding; only that it is JSON has been checked. With
    `public_only`, internal functions, functions of components and `_system` modules answer as if
    they were missing: `Could not find public function for 'mod:fn'.`, otherwise `Could not find
    function for 'mod:fn'.`.
    """

    kind: CallKind
    path: str
    args: bytes
    identity: Identity
    request_id: str
    origin: Origin
    component: str = ""
    public_only: bool = True
    #: Actions within one another, this call included.
    depth: int = 1
    #: Who shares a queue when functions have to wait: a WebSocket session, or an address. Clients
    #: take turns, whatever each has waiting.
    client: str = ""
    #: The execution that made the call, of an action; "" for who calls from outside.
    parent: str = ""
    job: JobRef | None = None
    #: The session of the client's analytics that it came from, as a header said. Queries, which run
    #: once for everybody, never see it: it is what is told of this call alone.
    session_id: str = ""
    #: Where in which trace it was called.
    trace: TraceContext = NO_TRACE
    #: Attempts of it before this one.
    attempt: int = 0
    #: Mutations of the same WebSocket session that stood in line before it; None for other calls.
    queue_length: int | None = None

    @property
    def job_id(self) -> str:
        """The scheduled function that it is, or that called it; "" for other calls."""
        return self.job.id if self.job is not None and self.job.kind == "job" else ""


class Replay(NamedTuple):
    """Names one mutation of one client for ever, so that a repeat returns the stored outcome."""

    #: Hyphenated, lower case.
    session_id: str
    request_id: int


class Success(msgspec.Struct, frozen=True):
    """A function returned.

    `value` is tagged JSON. `ts` is the commit for a mutation (the snapshot if it wrote nothing, the
    original commit if it was replayed), the snapshot for a query, the newest for an action.
    """

    value: bytes
    log_lines: tuple[str, ...] = ()
    ts: int = 0
    #: Whether the run kept spans of its trace.
    traced: bool = False


class Failure(msgspec.Struct, frozen=True):
    """A function could not start or did not return: the developer's error, not the server's.

    `message` is the error text alone, such as `Uncaught ValueError: no` and frames, without the
    `[Request ID: …] Server Error` line, which `error_text` adds. `data` is the tagged JSON of a
    `ConvexError` (`b"null"` is data too) and None for every other error. `lost` says that the run's
    process was gone before the run ended: it is not known what the function would have done.
    """

    message: str
    data: bytes | None = None
    log_lines: tuple[str, ...] = ()
    #: The error's id in the run's report; "" for what no run reported.
    error_id: str = ""
    lost: bool = False
    #: Whether the run kept spans of its trace.
    traced: bool = False


Outcome = Success | Failure


class QueryResult(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """The result of one execution of a query, shared by everybody who watches it.

    The object's identity means "the same execution": edges encode each object once.
    """

    outcome: Outcome
    #: Decisions to repeat when the query runs again; only paginated queries have them.
    journal: str | None = None
    #: Names the execution in what clients read of a failure.
    request_id: str = ""


class HostError(Exception):
    """The host could not carry out a call, through no fault of the function; nothing was committed.

    Status and code are Convex's: 503 `OptimisticConcurrencyControlFailure` when retries ran out,
    429 `TooManyConcurrentRequests` when queues are full, 503 `StorageFailure`, which is this host's
    own, when the disk fails, 500 `InternalServerError` otherwise; 400
    for an environment change that is refused.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Watch(Protocol):
    """Interest in one query, held by one client."""

    def close(self) -> None:
        """End the interest; `on_stale` is not called any more. Harmless when repeated."""


class Settled(NamedTuple):
    """Results that are all true at one timestamp, in the order of the watches that were given."""

    ts: int
    results: Sequence[QueryResult]


class Queries(Protocol):
    """The subscribed queries of all clients."""

    def watch(self, call: FunctionCall, journal: str | None, on_stale: Callable[[], None]) -> Watch:
        """Take an interest in a query; it runs at the next `settle` that names the watch.

        `on_stale` is called on the event loop, and must return at once, when a commit changed
        something that the last settled result has read: at the latest after that `settle` returned,
        at most once until the next `settle` of this watch. A failed result is watched the same way.
        Never called before the first `settle`.
        """

    async def settle(self, watches: Sequence[Watch], not_before_ts: int) -> Settled:
        """A durable timestamp, at or after `not_before_ts`, and every watch's result at it.

        A query runs once for everybody who watches it with equal arguments and, where it looked at
        the caller, equal identity. With no watches, the newest durable timestamp. Raises
        `HostError` when the host cannot; the watches stay as they were. May be cancelled.
        """


class Host(Protocol):
    """What runs functions. Every call is awaited until its outcome is durable.

    `run_*` raise `HostError` when the fault is not the function's. A missing function, one of
    another kind, or arguments that don't validate are a `Failure`.
    """

    @property
    def queries(self) -> Queries:
        """The subscribed queries."""

    @property
    def durable_ts(self) -> int:
        """The newest timestamp at which everything is durable: nanoseconds, never going back."""

    @property
    def session_header(self) -> str:
        """The header whose value names the caller's session, in lower case; "" for none."""

    def kind_of(self, component: str, path: str, *, public_only: bool) -> FunctionKind | None:
        """What kind of function this is; None when it is missing or hidden by `public_only`."""

    async def run_query(self, call: FunctionCall) -> Outcome:
        """Run a query on the newest snapshot."""

    async def run_mutation(
        self,
        call: FunctionCall,
        replay: Replay | None = None,
        on_visible: Callable[[int], None] | None = None,
    ) -> Outcome:
        """Run a mutation until it commits, fails or is out of retries.

        With `replay`, a success is recorded in the same transaction, and a repeat returns the
        record without running anything; failures are not recorded. Once started it is not undone
        by cancelling the caller. `on_visible` gets the timestamp of the commit before any `settle`
        ends at it or later, which is before the outcome is there.
        """

    async def run_action(self, call: FunctionCall) -> Outcome:
        """Run an action, once."""


class EnvChange(msgspec.Struct, frozen=True):
    """One variable to set, or with None to remove."""

    name: str
    value: str | None = None


class Environment(Protocol):
    """The deployment's environment variables."""

    async def list(self) -> dict[str, str]:
        """All variables that an operator has set."""

    async def apply(self, changes: Sequence[EnvChange]) -> None:
        """Make all changes in one transaction, or raise `HostError` (400) and make none."""
