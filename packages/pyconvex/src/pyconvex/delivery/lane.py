"""What a component author writes to carry something out of, or into, the host.

Owns the base classes and the context that a lane's code gets. Never runs in an isolate, takes
no slot from the app: lanes share one process that imports their classes by path. One invariant: a
lane holds no state that matters; its queue, its component's tables and its variables do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from pyconvex.delivery.batch import Limits
from pyconvex.delivery.transport import Request, Response, Transport
from pyconvex.delivery.verdict import Verdict, classify
from pyconvex.runlog.entries import RunEntry
from pyconvex.values import Value


class QueueLane:
    """Sends the rows of one of the component's queues to an HTTP receiver, in order, at least once.

    The host reads rows, cuts batches, retries, splits, backs off and deletes what was accepted. The
    same bytes are sent at every attempt; after a crash the same rows may be sent in other batches,
    so rows carry whatever the receiver deduplicates by.

        class MailLane(QueueLane):
            queue = "mails"
            needs = ("MAIL_KEY",)

            def encode(self, rows, env):
                return Request("POST", "https://mail.example/send",
                               (("Authorization", f"Bearer {env['MAIL_KEY']}"),), to_json(rows))
    """

    #: The queue's name, as the component declares it.
    queue: ClassVar[str]
    #: Variables without which nothing can be sent: until all are set, rows wait in the queue.
    needs: ClassVar[tuple[str, ...]] = ()
    #: When a batch is full.
    limits: ClassVar[Limits] = Limits()

    def unfit(self, env: Mapping[str, str]) -> str | None:
        """Why nothing may be sent with these variables, with what to do; None when it may.

        It is logged, and rows wait in the queue until the variables change.
        """
        return None

    def encode(self, rows: Sequence[Value], env: Mapping[str, str]) -> Request:
        """The request that delivers `rows`; the same for the same arguments, whenever it is called.

        What it raises is taken as the rows' fault: the host halves the batch until the row that
        can't be encoded is alone, and sets it aside.
        """
        raise NotImplementedError

    def classify(self, response: Response) -> Verdict:
        """What an answer means; override where a receiver differs from plain HTTP."""
        return classify(response)


class RunLogLane:
    """Sends what runs reported to an HTTP receiver, in order, at least once.

    The run log holds log lines, uncaught errors and whatever components gave to `ctx.report`, of
    queries and of mutations that rolled back too. A lane reads the kinds that it names and has a
    durable cursor of its own; the host batches, retries, splits and backs off as for a `QueueLane`.
    A lane that is new begins with what is reported from its deploy on. After a crash an entry may
    be sent again, with the same `id`.

        class MishapLane(RunLogLane):
            reads = ("exception", "shop.mishap")

            def encode(self, entries, env):
                return Request("POST", "https://mishaps.example", (), to_json(entries))

    Entries that were swept before the lane came to them (the log is full, or they are a week old)
    are counted and logged.
    """

    #: What it wants: "exception", "log", "execution", and words that `ctx.report` was given. With
    #: "execution" every run is written to the log, also one that told nothing.
    reads: tuple[str, ...]
    #: Variables without which nothing can be sent: until all are set, entries wait in the log.
    needs: ClassVar[tuple[str, ...]] = ()
    #: When a batch is full.
    limits: Limits = Limits()
    #: The path of the component instance that declares the lane; set before anything is called.
    component: str = ""
    #: Logs a line for whoever runs the server, at "info", "warn" or "error"; set like `component`.
    log: Callable[[str, str], None] = staticmethod(lambda level, text: None)

    def admit(self, entry: RunEntry) -> bool:
        """Whether to send this entry; asked once for each as it is read, in order.

        The place for what must not be asked twice, such as "was this told before?".
        """
        return True

    def unfit(self, env: Mapping[str, str]) -> str | None:
        """Why nothing may be sent with these variables, as in `QueueLane.unfit`."""
        return None

    def encode(self, entries: Sequence[RunEntry], env: Mapping[str, str]) -> Request | None:
        """The request that delivers `entries`, or None when nothing needs to be sent for them.

        The same for the same arguments, whenever it is called; what it raises is taken as the
        entries' fault, as in `QueueLane.encode`.
        """
        raise NotImplementedError

    def classify(self, response: Response) -> Verdict:
        """What an answer means; override where a receiver differs from plain HTTP."""
        return classify(response)


class LooseRunLogLane(RunLogLane):
    """A lane over the run log that is set up while the deployment runs, not by a component.

    `configure` is called first, and again whenever its settings change: what is under way is then
    made anew with the new ones. It says what the lane `reads` and its `limits`.
    """

    #: Kinds of entries whose batches don't count for `sent_bytes`.
    uncounted: frozenset[str] = frozenset()

    def configure(self, settings: bytes) -> None:
        """Take these settings from now on."""
        raise NotImplementedError

    async def send(self, request: Request, transport: Transport) -> Response:
        """Send once. Raises `Unreachable`. For what is not HTTP, or is signed as it leaves."""
        return await transport.send(request)


class QueueReport(msgspec.Struct, frozen=True):
    """How one of the component's queues is doing; counts are since the deployment was made."""

    #: Rows that wait, and when the first of them was committed, in milliseconds since 1970.
    waiting: int = 0
    oldest_ms: float | None = None
    sent: int = 0
    #: Rows that nobody would take, kept with their reasons.
    set_aside: int = 0
    #: Rows that found the queue full.
    dropped: int = 0
    #: Whether the last attempts to send failed, and what was last wrong.
    failing: bool = False
    last_error: str | None = None


class LaneContext(Protocol):
    """What a timer lane may use."""

    @property
    def env(self) -> Mapping[str, str]:
        """The component's variables as they are now."""

    @property
    def transport(self) -> Transport:
        """HTTP, with a deadline of its own."""

    async def run_query(self, path: str, args: Mapping[str, Value]) -> Value:
        """Run a query of the own component, such as "flags:etag". Raises `CallFailed`."""

    async def run_mutation(self, path: str, args: Mapping[str, Value]) -> Value:
        """Run a mutation of the own component; durable when it returns. Raises `CallFailed`."""

    def queue(self, name: str) -> QueueReport:
        """How a queue of the own component is doing. Raises `LookupError` without such a queue."""

    def log(self, level: str, text: str) -> None:
        """A line for whoever runs the server; level is "info", "warn" or "error"."""

    def now_ms(self) -> float:
        """The time, in milliseconds since 1970."""

    def jitter(self) -> float:
        """A random factor between 0.9 and 1.1, so that many hosts don't ask in step."""


class CallFailed(Exception):
    """A component function that a lane called failed, or the server is gone."""


class TimerLane:
    """Does something again and again: polls, refreshes, expires.

    `tick` runs when the lane starts, when the component's variables change, and then after as many
    seconds as it returned. A tick that raises is logged and tried again with growing pauses.
    """

    #: Seconds from a commit of the deployment to a tick that looks at it, at most one for all the
    #: commits in between; None for lanes that commits don't concern.
    wakes_after_s: ClassVar[float | None] = None

    #: Variables without which there is nothing to do: until all are set, `tick` is not called.
    needs: ClassVar[tuple[str, ...]] = ()

    async def tick(self, ctx: LaneContext) -> float | None:
        """Do it once; seconds until the next time, or None to rest until variables change."""
        raise NotImplementedError
