"""What server, template and isolates say to each other.

Owns the frames' types and their encoding. Never interprets them. One invariant: arguments, results
and documents pass as bytes; only the process that runs a function decodes them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pyconvex.runlog import LogLine, Report
from pyconvex.runlog.report import Item
from pyconvex.runlog.traces import NO_TRACE, TraceContext
from pyconvex.runtime.calls import JobRef

#: The kind of a `CallOut` that schedules or cancels.
SCHEDULING = "scheduling"


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages; the class name is the tag."""


class Load(Frame, frozen=True, array_like=True, tag=True):
    """Server to template: import this app. Sent once, first."""

    sources: dict[str, str]
    folder: str
    data_path: str


class Loaded(Frame, frozen=True, array_like=True, tag=True):
    """Template to server: the analysed app, a msgpack `AppSpec`."""

    spec: msgspec.Raw


class Loading(Frame, frozen=True, array_like=True, tag=True):
    """Template to server: this file of the app is imported now."""

    path: str


class LoadFailed(Frame, frozen=True, array_like=True, tag=True):
    """Template to server: why the app can't be loaded, as a person should read it."""

    message: str


class Fork(Frame, frozen=True, array_like=True, tag=True):
    """Server to template: make an isolate; its socket and its black box travel with this frame."""

    isolate_id: int
    actions: bool


class Forked(Frame, frozen=True, array_like=True, tag=True):
    """Template to server: the isolate's process id."""

    isolate_id: int
    pid: int


class Exited(Frame, frozen=True, array_like=True, tag=True):
    """Template to server: an isolate is gone; status as from `waitpid`."""

    isolate_id: int
    status: int


class Start(Frame, frozen=True, array_like=True, tag=True):
    """Server to isolate: run one function."""

    run_id: int
    kind: str
    component: str
    path: str
    args: bytes
    #: The caller, encoded by `pyconvex.identity`.
    identity: bytes
    request_id: str
    now_ms: float
    #: What all that the run draws at random follows from.
    seed: bytes
    public_only: bool
    #: Answer with `Opened` before running, so that the server knows the snapshot is held.
    announce: bool
    #: What the deployment's cursors are sealed with.
    cursor_secret: bytes
    #: What this query decided when it ran before; None on a first run, and for other kinds.
    journal: str | None
    #: Names this run in reports; no two runs share it.
    execution_id: str = ""
    #: The scheduled function or cron job that this run belongs to.
    job: JobRef | None = None
    #: The client's session; "" when it is not known, and for queries.
    session_id: str = ""
    #: Where in which trace it was called.
    trace: TraceContext = NO_TRACE
    #: Attempts of this call before this one.
    attempt: int = 0


#: What `Start.kind` is for HTTP actions; `path` is their route's name then, and `args` a
#: `RequestHead`.
HTTP_ACTION = "http_action"
#: The kinds that run in action isolates.
ACTION_KINDS = frozenset({"action", HTTP_ACTION})


class RequestHead(msgspec.Struct, frozen=True, array_like=True):
    """What an HTTP action is asked, but for the body, for which it calls out."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    #: Why the caller's credential is not valid; "" when it is, or there is none.
    refused: str


class ResponseHead(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of an HTTP action's answer, with all of the body when that is known."""

    status: int
    headers: list[tuple[str, str]]
    #: None when the body follows in pieces.
    body: bytes | None


class Opened(Frame, frozen=True, array_like=True, tag=True):
    """Isolate to server: the run's snapshot is open, at this timestamp."""

    run_id: int
    ts: int


class Finished(Frame, frozen=True, array_like=True, tag=True):
    """Isolate to server: a run ended.

    `value` is the result as tagged JSON, or None when the run failed with `error`; `data` belongs
    to a `ConvexError`. `report` is what the run tells beside that. `proposal` is what the run read
    and wants written (empty for actions).
    `stale` says that the snapshot belongs to a newer deploy than the isolate's code: nothing else
    in the frame counts then, and the run must begin again where the newer code is. `journal` is
    what a query has decided, for its next run. `observed_time` says that it looked at a clock.
    `leaves` says that the isolate ends now, or for actions when its other ones have, and runs
    nothing more.
    """

    run_id: int
    value: bytes | None
    error: str
    data: bytes | None
    report: Report
    observed_identity: bool
    proposal: bytes
    stale: bool = False
    journal: str | None = None
    observed_time: bool = False
    leaves: bool = False

    @property
    def log_lines(self) -> tuple[str, ...]:
        """The log lines as clients get them."""
        return tuple(line.as_client() for line in self.report.lines)


class Told(Frame, frozen=True, array_like=True, tag=True):
    """Action isolate to server: lines and items of an action that goes on; its `Finished` has the
    rest.
    """

    run_id: int
    lines: tuple[LogLine, ...]
    items: tuple[Item, ...]
    #: Whose they are, as far as the run knows by now.
    user_id: str | None = None
    session_id: str | None = None


class CallOut(Frame, frozen=True, array_like=True, tag=True):
    """Action isolate to server: an action calls another function.

    With the kind `SCHEDULING` it asks to schedule or cancel one: `args` is a request of
    `pyconvex.runtime.scheduling.requests`. With one of the kinds of
    `pyconvex.runtime.http_actions.http_exchange`, an HTTP action wants the next piece of its
    request's body, or sends a part of its response.
    """

    run_id: int
    call_id: int
    kind: str
    component: str
    path: str
    args: bytes
    #: The span that is open there and will be kept; "" for none.
    span_id: str = ""
    #: Whose call the action's is, as it knows by now.
    user_id: str | None = None


class CallBack(Frame, frozen=True, array_like=True, tag=True):
    """Server to action isolate: how that call ended.

    `error_id` is the id that the error has in the called function's report, if it has one.
    """

    call_id: int
    value: bytes | None
    error: str
    data: bytes | None
    error_id: str = ""
    #: Whether the called function kept spans of the trace.
    traced: bool = False


class Ping(Frame, frozen=True, array_like=True, tag=True):
    """Server to action isolate: answer, to show that the loop turns."""


class Pong(Frame, frozen=True, array_like=True, tag=True):
    """Action isolate to server: it turns."""


class Blocked(Frame, frozen=True, array_like=True, tag=True):
    """Action isolate to server: the run that keeps its loop from turning, and on which line."""

    run_id: int
    where: str


class Cancel(Frame, frozen=True, array_like=True, tag=True):
    """Server to action isolate: end this run, whose time is over."""

    run_id: int


ToTemplate = Load | Fork
FromTemplate = Loading | Loaded | LoadFailed | Forked | Exited
ToIsolate = Start | CallBack | Ping | Cancel
FromIsolate = Opened | Finished | Told | CallOut | Pong | Blocked

_encoder = msgspec.msgpack.Encoder()

decode_to_template = msgspec.msgpack.Decoder(ToTemplate).decode
decode_from_template = msgspec.msgpack.Decoder(FromTemplate).decode
decode_to_isolate = msgspec.msgpack.Decoder(ToIsolate).decode
decode_from_isolate = msgspec.msgpack.Decoder(FromIsolate).decode


def encode(frame: Any) -> bytes:
    """The frame's bytes, without length prefix."""
    return _encoder.encode(frame)
