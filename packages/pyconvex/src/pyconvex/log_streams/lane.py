"""The lane of one log stream.

Owns which entries of the run log become events of the stream, and handing them to its sink. Never
decides when. One invariant: settings take effect at once and for everything that is not yet taken,
without losing the stream's place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from pyconvex.delivery import Request, Response, Transport, Verdict
from pyconvex.delivery.lane import LooseRunLogLane
from pyconvex.log_streams import topics
from pyconvex.log_streams.deployment import Deployment
from pyconvex.log_streams.events import StreamEvent, event_of
from pyconvex.log_streams.redaction import Redaction
from pyconvex.log_streams.registry import sinks
from pyconvex.log_streams.sink import Sink
from pyconvex.runlog.entries import RunEntry

#: For the lane process, which imports it by path.
IMPORT_PATH = "pyconvex.log_streams.lane:StreamLane"


class StreamSettings(msgspec.Struct, frozen=True):
    """All that a stream's lane needs to know."""

    id: str
    stream_type: str
    config: dict[str, str | int | float | bool | None]
    #: None for all, as far as the kind of stream leaves a choice.
    topics: tuple[str, ...] | None
    deployment: Deployment


def lane_key(stream: str) -> str:
    """The key of a stream's lane.

    >>> lane_key("k57")
    'log_stream:k57'
    """
    return f"log_stream:{stream}"


def wanted_topics(kind: type[Sink], chosen: Sequence[str] | None) -> frozenset[str]:
    """The topics of a stream of this kind that chose these."""
    if kind.topics is not None:
        return kind.topics
    told = topics.ALL_BUT_AUDITS if chosen is None else frozenset(chosen)
    return told | {topics.EVENTS_DROPPED}


def wanted_kinds(kind: type[Sink], stream: str, chosen: Sequence[str] | None) -> tuple[str, ...]:
    """The kinds of entries that such a stream reads."""
    wanted = wanted_topics(kind, chosen)
    own = {topics.drops_of(stream)} if topics.EVENTS_DROPPED in wanted else set()
    told = topics.entry_kinds(wanted - {topics.EVENTS_DROPPED})
    return tuple(sorted({*told, *own, *kind.reads}))


class StreamLane(LooseRunLogLane):
    """Carries entries of the run log to a sink (`pyconvex.delivery.lane.LooseRunLogLane`)."""

    uncounted = frozenset({topics.entry_kind(topics.LOG_STREAM_EGRESS)})

    def configure(self, settings: bytes) -> None:
        self._settings = given = msgspec.json.decode(settings, type=StreamSettings)
        kind = sinks().get(given.stream_type)
        if kind is None:
            raise LookupError(
                f"log streams of the kind {given.stream_type!r} are not installed here"
            )
        if not isinstance(getattr(self, "_sink", None), kind):
            self._sink = kind()
        self._redaction = Redaction(kind, given.config)
        self.limits = kind.limits
        self.reads = wanted_kinds(kind, given.id, given.topics)
        #: Those of them that are events; each kind is of one topic.
        self._told = frozenset(self.reads) - kind.reads

    def admit(self, entry: RunEntry) -> bool:
        if entry.kind in self._sink.reads:
            self._sink.note(entry)
            return False
        event = self._event(entry)
        return event is not None and self._sink.admit(event)

    def encode(self, entries: Sequence[RunEntry], env: Mapping[str, str]) -> Request | None:
        events = [event for entry in entries if (event := self._event(entry)) is not None]
        given = self._settings
        return self._sink.encode(events, given.config, given.deployment) if events else None

    async def send(self, request: Request, transport: Transport) -> Response:
        answering = self._redaction.answers_of(transport)
        return await self._sink.send(request, self._settings.config, answering)

    def classify(self, response: Response) -> Verdict:
        return self._sink.classify(response)

    def _event(self, entry: RunEntry) -> StreamEvent | None:
        """The event of an entry, if it is of a topic that the stream has chosen."""
        return entry.once(event_of) if entry.kind in self._told else None
