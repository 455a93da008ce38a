"""Log streams of a server: setting them up, changing and ending them while it runs.

Owns what operators may do with streams (`pyconvex.http.log_streams.LogStreamOperations`) and the
lanes that follow from it. Never sends an event: lanes do. One invariant: a stream keeps its place
in the run log from the moment it is made, in whatever state it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from pyconvex.database import Transaction
from pyconvex.delivery.messages import LaneStatus, LooseLane
from pyconvex.delivery.transport import HttpTransport, Transport
from pyconvex.log_streams import Config, ConfigRefused, Deployment, Sink, topics, v2
from pyconvex.log_streams.lane import (
    IMPORT_PATH,
    StreamSettings,
    lane_key,
    wanted_kinds,
)
from pyconvex.log_streams.registry import sinks
from pyconvex.runlog.cursors import cursor_key
from pyconvex.runlog.log import RunLog
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.server import stream_records
from pyconvex.server.audit import AuditLog
from pyconvex.server.stream_records import State, StreamRecord
from pyconvex.server.stream_settings import (
    field_forms,
    given_settings,
    given_topics,
    kind_named,
    new_secret,
)
from pyconvex.server.stream_status import delivery, described, title
from pyconvex.server.stream_verification import Verifications

_LOG = logging.getLogger("pyconvex.log_streams")
#: Streams of one deployment (Convex's limit).
MAX_STREAMS = 5


class LogStreams:
    """The streams of one deployment. `start` it inside the event loop, `stop` it at the end.

    `configure` gets the lanes that shall run; `lanes` tells how they fare.
    """

    def __init__(
        self,
        system: SystemTransactions,
        run_log: RunLog,
        audit: AuditLog,
        deployment: Deployment,
        *,
        configure: Callable[[Sequence[LooseLane]], None],
        lanes: Callable[[], Sequence[LaneStatus]],
        variables: Callable[[], Mapping[str, str]],
        transport: Transport | None = None,
        printing: str | None = None,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        self._system = system
        self._run_log = run_log
        self._audit = audit
        self._deployment = deployment
        self._configure = configure
        self._lanes = lanes
        self._variables = variables
        self._verifying = Verifications(deployment, transport or HttpTransport(), self._judged)
        #: A stream that this server was started with, and that is not kept: the terminal.
        self._printing = _printing_stream(printing) if printing is not None else None
        self._now_ms = now_ms
        self._streams: list[StreamRecord] = []

    def start(self) -> None:
        """Let the streams go on; those that were not verified are."""
        self._streams = self._system.read(stream_records.all_streams)
        self._run_log.on_lost = self._lost
        self._put_in_force()
        for stream in self._streams:
            if stream.state == "pending":
                self._verifying.begin(stream)

    async def stop(self) -> None:
        """End verifications; they begin anew with the next start."""
        await self._verifying.stop()

    # What operators do

    async def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set up a stream; see `LogStreamOperations.create`."""
        name, kind = kind_named(body)
        config = given_settings(kind, body)
        chosen = given_topics(kind, body.get("topics"))
        config |= {name: new_secret() for name in kind.generated}
        _validate(kind, config)

        def work(tx: Transaction) -> StreamRecord:
            there = stream_records.all_streams(tx)
            if any(stream.stream_type == name for stream in there):
                raise HostError(
                    409,
                    "LogStreamAlreadyExists",
                    f"{name[:1].upper()}{name[1:]} log stream already exists for this deployment",
                )
            if len(there) >= MAX_STREAMS:
                raise HostError(
                    400,
                    "LogSinkQuotaExceeded",
                    f"A deployment has at most {MAX_STREAMS} log streams: delete one first.",
                )
            return stream_records.add(tx, name, config, chosen)

        stream = await self._system.write(work)
        self._audit.tell("create_integration", {"type": name, "id": stream.id})
        self._changed(stream)
        made = {"logStreamType": name, "id": stream.id}
        return made | {name: config[name] for name in kind.generated}

    async def update(self, id: str, body: Mapping[str, Any]) -> None:
        """Change settings; see `LogStreamOperations.update`."""
        self._find(id)
        name, kind = kind_named(body)

        def changed(now: StreamRecord) -> StreamRecord:
            if name != now.stream_type:
                raise HostError(
                    400,
                    "LogStreamTypeMismatch",
                    f"Cannot update a {title(now)} log stream with arguments for a different "
                    "log stream type",
                )
            config = given_settings(kind, body, now.config)
            chosen = given_topics(kind, body["topics"]) if "topics" in body else now.topics
            _validate(kind, config)
            return replace(now, config=config, topics=chosen, state="pending", reason="")

        await self._change(id, changed)
        self._audit.tell("update_integration", {"type": name, "id": id})

    async def delete(self, id: str) -> None:
        """Take a stream away; see `LogStreamOperations.delete`."""
        stream = self._find(id)
        await self._system.write(lambda tx: stream_records.remove(tx, id))
        self._verifying.end(id)
        self._audit.tell("delete_integration", {"type": stream.stream_type, "id": id})
        self._put_in_force()
        self._run_log.forget(_cursor(id))

    async def rotate_secret(self, id: str) -> dict[str, Any]:
        """Another secret from the next request on; see `LogStreamOperations.rotate_secret`."""
        stream = self._find(id)
        kind = sinks().get(stream.stream_type)
        if kind is None or not kind.generated:
            raise HostError(
                400, "NoSecretToRotate", "This log stream does not have a secret to rotate."
            )
        fresh = {name: new_secret() for name in kind.generated}
        await self._change(id, lambda now: replace(now, config=now.config | fresh))
        self._audit.tell("update_integration", {"type": stream.stream_type, "id": id})
        return {"logStreamType": stream.stream_type, **fresh}

    async def test(self, id: str) -> dict[str, Any]:
        """Verify now; see `LogStreamOperations.test`."""
        reason = await self._verifying.verdict(self._find(id))
        return {"ok": reason is None, "reason": reason}

    def get(self, id: str) -> dict[str, Any]:
        """Settings and status; see `LogStreamOperations.get`."""
        return described(self._find(id))

    def listed(self) -> list[dict[str, Any]]:
        """All of them."""
        self._read()
        return [described(stream) for stream in self._streams]

    def overview(self) -> dict[str, Any]:
        """Streams with how they fare, and the kinds that there are with their fields."""
        self._read()
        variables = self._variables()
        return {
            "streams": [
                described(stream) | {"title": title(stream), "delivery": self._delivery(stream)}
                for stream in self._all()
            ],
            "types": [field_forms(name, kind, variables) for name, kind in sinks().items()],
            "topics": list(topics.SUBSCRIBABLE),
        }

    # What follows from it

    async def _change(self, id: str, changed: Callable[[StreamRecord], StreamRecord]) -> None:
        """Keep what `changed` makes of the stream as it is when the change is committed."""

        def work(tx: Transaction) -> StreamRecord:
            now = _found(stream_records.all_streams(tx), id)
            after = replace(changed(now), version=now.version + 1)
            stream_records.change(tx, after)
            return after

        self._changed(await self._system.write(work))

    def _changed(self, stream: StreamRecord) -> None:
        self._put_in_force()
        if stream.state == "pending":
            self._verifying.begin(stream)

    def _put_in_force(self) -> None:
        """Have lanes do what the table says by now."""
        self._read()
        streams = [stream for stream in self._all() if stream.stream_type in sinks()]
        self._run_log.set_lanes([_cursor(stream.id) for stream in self._all()], loose=True)
        for stream in streams:
            kind = sinks()[stream.stream_type]
            kinds = wanted_kinds(kind, stream.id, stream.topics)
            self._run_log.reads(_cursor(stream.id), kinds)
        self._configure([self._lane(stream) for stream in streams if stream.state == "active"])

    def _read(self) -> None:
        self._streams = self._system.read(stream_records.all_streams)

    def _all(self) -> list[StreamRecord]:
        return [*self._streams, *([self._printing] if self._printing is not None else [])]

    def _lane(self, stream: StreamRecord) -> LooseLane:
        settings = StreamSettings(
            stream.id, stream.stream_type, stream.config, stream.topics, self._deployment
        )
        encoded = msgspec.json.encode(settings)
        return LooseLane(lane_key(stream.id), IMPORT_PATH, encoded, stream.stream_type)

    async def _judged(self, stream: StreamRecord, reason: str | None) -> None:
        state: State = "active" if reason is None else "failed"
        try:
            await self._system.write(
                lambda tx: stream_records.judge(tx, stream, state, reason or "")
            )
        except HostError as error:
            _LOG.error("The verdict about a log stream could not be kept: %s", error.message)
        self._put_in_force()

    def _lost(self, lane: str, lost: int, reason: str) -> None:
        """Put the news of what a stream will never get into the log that it reads."""
        for stream in self._all():
            cursor = self._run_log.cursor(lane)
            if lane == _cursor(stream.id) and cursor is not None:
                event = v2.EventsDropped(
                    timestamp=int(self._now_ms()),
                    dropped_events=lost,
                    total_dropped_events=cursor.dropped,
                    reason=reason,
                )
                self._run_log.tell(topics.drops_of(stream.id), msgspec.to_builtins(event))

    # Descriptions

    def _find(self, id: str) -> StreamRecord:
        if not stream_records.is_id(id):
            raise HostError(400, "InvalidLogStreamId", "The log stream id passed was invalid.")
        self._read()
        return _found(self._streams, id)

    def _delivery(self, stream: StreamRecord) -> dict[str, Any]:
        cursor = self._run_log.cursor(_cursor(stream.id))
        told = next((s for s in self._lanes() if s.lane == stream.id and not s.component), None)
        dropped = 0 if cursor is None else cursor.dropped
        return delivery(stream, told, dropped, self._now_ms())


def _found(streams: Sequence[StreamRecord], id: str) -> StreamRecord:
    for stream in streams:
        if stream.id == id:
            return stream
    raise HostError(404, "LogStreamDoesntExist", f"There is no log stream with the id {id}.")


def _validate(kind: type[Sink], config: Config) -> None:
    try:
        kind().validate(config)
    except ConfigRefused as refused:
        raise HostError(400, refused.code, refused.message) from None


def _printing_stream(format: str) -> StreamRecord:
    return StreamRecord("terminal", "terminal", {"format": format}, None, "active")


def _cursor(stream: str) -> str:
    return cursor_key("", lane_key(stream))
