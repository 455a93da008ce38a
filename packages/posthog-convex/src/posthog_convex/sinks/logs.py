"""The stream to PostHog Logs.

Owns what of an event and of what the host knows beside it becomes a log record. One invariant: a
request has at most 1.5 MiB before it is compressed, whatever the lines.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from posthog_convex.component.batches import classify_batch
from posthog_convex.endpoints import LOGS
from posthog_convex.events.batch import USER_AGENT
from posthog_convex.logs import (
    Deployment,
    Link,
    LogRecord,
    Resource,
    in_order,
    logs_body,
    logs_headers,
    partial_success,
    read_event,
    record_of,
)
from posthog_convex.sinks.project import (
    API_KEY,
    HOST,
    destination_of,
    validate_project,
    verify_project,
)
from pyconvex import log_streams
from pyconvex.delivery import Accepted
from pyconvex.log_streams import (
    Config,
    Field,
    Limits,
    Request,
    Response,
    Sink,
    StreamEvent,
    Transport,
    Verdict,
)


class PostHogLogsSink(Sink):
    """Sends events to PostHog Logs over OTLP."""

    stream_type = "postHogLogs"
    title = "PostHog Logs"
    summary = (
        "Sends what functions print, and how they ran, to PostHog Logs: with person and trace."
    )
    fields = (
        API_KEY,
        HOST,
        Field(
            name="serviceName",
            label="Service Name",
            placeholder="my-app",
            help="What PostHog lists the lines under. Left out, it is the deployment's name.",
        ),
    )
    #: As many as Convex sends at once. What is too large all the same is halved by the host.
    limits = Limits(max_rows=400, max_bytes=1024 * 1024)

    def validate(self, config: Config) -> None:
        validate_project(config)

    def encode(
        self, events: Sequence[StreamEvent], config: Config, deployment: log_streams.Deployment
    ) -> Request | None:
        project, name = destination_of(config), config.get("serviceName")
        of = Resource(Deployment(**msgspec.structs.asdict(deployment)), str(name) if name else None)
        records = in_order(record(each) for each in events if each.topic != "verification")
        if not records:
            return None
        url, headers = LOGS.url(project.origin), logs_headers(project, USER_AGENT)
        return Request(LOGS.method, url, headers, logs_body([(of, records)]))

    def classify(self, response: Response) -> Verdict:
        verdict = classify_batch(response, token="apiKey", host="host")  # noqa: S106  # names
        if isinstance(verdict, Accepted):
            said = partial_success(response.body)
            return Accepted(said.rejected, said.reason)
        return verdict

    async def verify(
        self, config: Config, deployment: log_streams.Deployment, transport: Transport
    ) -> None:
        await verify_project(config, transport)


def record(event: StreamEvent) -> LogRecord:
    """The log record of an event."""
    parsed, rest = read_event(event.fields())
    if event.topic == "console":
        # As it was printed; Convex's events have it in quotes.
        parsed = msgspec.structs.replace(parsed, message=event.text)
    return record_of(
        parsed,
        rest,
        Link(
            id=event.id,
            ts_ms=event.ts_ms,
            trace_id=event.trace_id,
            span_id="" if event.run is None else event.run.span_id,
            execution_id=event.execution_id,
            distinct_id=event.user_id,
            session_id=event.session_id,
        ),
    )
