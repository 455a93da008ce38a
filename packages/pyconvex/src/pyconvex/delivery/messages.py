"""What the server and the lane process say to each other.

Owns the frames' types, their encoding, and the description of a component's lanes. Never interprets
them. One invariant: arguments, results and rows pass as bytes; the server decodes none of them.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace


class LaneComponent(msgspec.Struct, frozen=True, array_like=True):
    """One component instance that has lanes."""

    #: The instance's path; "" is the app.
    path: str
    #: Import paths of lane classes, such as "shop_mail.lanes:MailLane".
    lanes: tuple[str, ...]
    #: Queue ids by the names that the component declares.
    queues: dict[str, int]
    #: The component's variables that have a value.
    env: dict[str, str]


class LooseLane(msgspec.Struct, frozen=True, array_like=True):
    """A lane that no component declares: it is set up, and changed, while the deployment runs."""

    #: What its cursor is filed under and its status is told as, such as "log_stream:k57…".
    key: str
    #: The import path of a `LooseRunLogLane`.
    lane: str
    #: What its class makes of it; secrets among it.
    settings: bytes
    #: What people read of it, such as "webhook".
    title: str = ""


class LaneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one lane is doing; counts are since the server started."""

    component: str
    lane: str
    queue: str | None
    #: In words, such as "collecting rows", "sending", "waiting for settings" or "broken".
    state: str
    #: The circuit breaker: "closed", "open" or "half open".
    circuit: str = "closed"
    #: Variables that must be set before the lane starts.
    missing: tuple[str, ...] = ()
    #: Rows read and neither accepted nor set aside yet; more may wait in the queue.
    in_hand: int = 0
    #: Whether others wait behind them, which nobody counts, while a failed attempt is waited out.
    more: bool = False
    #: Commit timestamp of the oldest of them.
    oldest_ts: int | None = None
    sent: int = 0
    failed: int = 0
    set_aside: int = 0
    #: Entries of the run log that were swept before the lane came to them, that the disk could not
    #: keep, or that the receiver dropped; ever.
    dropped: int = 0
    last_error: str | None = None
    #: Bytes of requests that were accepted, of lanes that count them.
    sent_bytes: int = 0
    #: What people read of a loose lane.
    title: str = ""

    def after(self, before: LaneStatus | None) -> LaneStatus:
        """This status, with what was counted before the lane was started again.

        >>> before = LaneStatus(component="", lane="a", queue=None, state="ended", sent=2)
        >>> now = LaneStatus(component="", lane="a", queue=None, state="sending", sent=1)
        >>> now.after(before).sent
        3
        """
        if before is None:
            return self
        return replace(
            self,
            sent=self.sent + before.sent,
            failed=self.failed + before.failed,
            set_aside=self.set_aside + before.set_aside,
            sent_bytes=self.sent_bytes + before.sent_bytes,
            last_error=self.last_error or before.last_error,
        )


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages; the class name is the tag."""


class Configure(Frame, frozen=True, array_like=True, tag=True):
    """Server: run these lanes from now on; others stop. Sent first, and after each deploy."""

    data_path: str
    durable_ts: int
    components: tuple[LaneComponent, ...]
    loose: tuple[LooseLane, ...] = ()


class Wake(Frame, frozen=True, array_like=True, tag=True):
    """Server: rows up to this timestamp are durable and may leave."""

    durable_ts: int


class EnvChanged(Frame, frozen=True, array_like=True, tag=True):
    """Server: a component's variables, all of them, as they are now."""

    component: str
    env: dict[str, str]


class CallResult(Frame, frozen=True, array_like=True, tag=True):
    """Server: how a `Call` ended; `value` is tagged JSON, None when it failed with `error`."""

    call_id: int
    value: bytes | None
    error: str = ""


class Stop(Frame, frozen=True, array_like=True, tag=True):
    """Server: finish what is in flight within the deadline, start nothing, and end."""

    deadline_s: float


class Ack(Frame, frozen=True, array_like=True, tag=True):
    """Lane: delete the queue's rows up to and including this position."""

    queue: int
    ts: int
    seq: int


class SetAsideRow(Frame, frozen=True, array_like=True, tag=True):
    """Lane: move this row out of the queue, keep it with the reason."""

    queue: int
    ts: int
    seq: int
    reason: str


class Reads(Frame, frozen=True, array_like=True, tag=True):
    """Lane: it reads these kinds of the run log; sent when it starts. `lane` is the import path."""

    component: str
    lane: str
    kinds: tuple[str, ...]


class RunLogAck(Frame, frozen=True, array_like=True, tag=True):
    """Lane: it has delivered the run log up to and including this position."""

    component: str
    lane: str
    ts: int
    seq: int


class SetAsideEntry(Frame, frozen=True, array_like=True, tag=True):
    """Lane: keep this entry of the run log with the reason why nobody would take it."""

    component: str
    lane: str
    body: bytes
    reason: str


class RejectedEntries(Frame, frozen=True, array_like=True, tag=True):
    """Lane: a receiver took a request but for so many entries of the run log."""

    component: str
    lane: str
    entries: int


class Call(Frame, frozen=True, array_like=True, tag=True):
    """Lane: run a function of the component; `kind` is "query" or "mutation"."""

    call_id: int
    kind: str
    component: str
    path: str
    args: bytes


class Log(Frame, frozen=True, array_like=True, tag=True):
    """Lane: a line for whoever runs the server; level is "info", "warn" or "error"."""

    component: str
    lane: str
    level: str
    text: str


class Status(Frame, frozen=True, array_like=True, tag=True):
    """Lane: how all lanes are doing, after something changed and at most once a second."""

    lanes: tuple[LaneStatus, ...]


FromServer = Configure | Wake | EnvChanged | CallResult | Stop
FromLanes = (
    Ack | SetAsideRow | Reads | RunLogAck | SetAsideEntry | RejectedEntries | Call | Log | Status
)

_encoder = msgspec.msgpack.Encoder()

decode_from_server = msgspec.msgpack.Decoder(FromServer).decode
decode_from_lanes = msgspec.msgpack.Decoder(FromLanes).decode


def encode(message: FromServer | FromLanes) -> bytes:
    """The message's bytes, without length prefix."""
    return _encoder.encode(message)
