"""The lane that sends a span for each function call to a collector of OpenTelemetry's.

Owns how a run's record becomes a span. Never runs while no collector is named. One invariant: a
run's span has the id that whoever it called names as the parent.

An app's variables name the collector, as they do for OpenTelemetry's exporters:
`OTEL_EXPORTER_OTLP_ENDPOINT` is its address, to which `/v1/traces` is added, and
`OTEL_EXPORTER_OTLP_HEADERS` holds what it asks for, such as `authorization=Bearer%20key`. The
encoding is JSON, as Protobuf would need one more library.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

from pyconvex.delivery.batch import Limits
from pyconvex.delivery.lane import RunLogLane
from pyconvex.delivery.transport import Request
from pyconvex.runlog.entries import EXECUTION, RunEntry
from pyconvex.runlog.otlp import (
    INTERNAL,
    SERVER,
    STATUS_ERROR,
    SpanFacts,
    SpanText,
    encode_resource,
    encode_scope,
    encode_span,
    kept_span,
    request_body,
)
from pyconvex.runlog.record import RunRecord
from pyconvex.runlog.traces import SPAN, span_id_of

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_SCOPE = encode_scope("pyconvex")


class FunctionSpanLane(RunLogLane):
    """Sends each function call, and the spans that packages kept in it, as OTLP."""

    reads = (EXECUTION, SPAN)
    needs = (ENDPOINT,)
    limits = Limits(max_rows=500, max_bytes=2 * 1024 * 1024, max_age_s=1.0)

    def admit(self, entry: RunEntry) -> bool:
        if entry.kind == EXECUTION:
            # What was answered from a result that was there is no execution.
            return not entry.run.cached
        kept = kept_span(entry.value)
        return kept is not None and kept.span.span_id != entry.run.span_id

    def encode(self, entries: Sequence[RunEntry], env: Mapping[str, str]) -> Request:
        name = env.get("OTEL_SERVICE_NAME", "").strip() or "pyconvex"
        resource = encode_resource({"service.name": name})
        texts = [_text_of(entry, resource) for entry in entries]
        address = env[ENDPOINT].strip().rstrip("/")
        return Request(
            "POST",
            address if address.endswith("/v1/traces") else f"{address}/v1/traces",
            (
                ("Content-Type", "application/json"),
                ("Content-Encoding", "gzip"),
                *_headers(env.get(HEADERS, "")),
            ),
            gzip.compress(request_body(texts), compresslevel=6, mtime=0),
        )


def _text_of(entry: RunEntry, resource: bytes) -> SpanText:
    if entry.kind == EXECUTION:
        return SpanText(resource, _SCOPE, encode_span(span_of(entry.run)))
    kept = kept_span(entry.value)
    assert kept is not None, "an entry that is none was not admitted"
    return SpanText(resource, kept.scope, encode_span(kept.span))


def span_of(run: RunRecord) -> SpanFacts:
    """The span that a run is."""
    attributes = {
        "convex.function": run.path,
        "convex.kind": run.kind,
        "convex.reason": run.reason,
        "convex.request_id": run.request_id,
        "convex.execution_id": run.execution_id,
        "convex.attempt": run.retries,
    }
    if run.component:
        attributes["convex.component"] = run.component
    if run.report.user_id is not None:
        attributes["user.id"] = run.report.user_id
    if run.report.session_id is not None:
        attributes["session.id"] = run.report.session_id
    if run.status:
        attributes["http.response.status_code"] = run.status
    parent = run.parent_span_id or (span_id_of(run.parent) if run.parent else "")
    return SpanFacts(
        trace_id=run.trace,
        span_id=run.span_id,
        parent_id=parent,
        name=run.path,
        start_ns=round(run.began_ms * 1e6),
        end_ns=round(max(run.began_ms, run.ts_ms) * 1e6),
        kind=INTERNAL if run.parent else SERVER,
        status=STATUS_ERROR if run.failed else 0,
        status_message=run.error.partition("\n")[0],
        attributes=attributes,
    )


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """`a=1,b=2` with percent-encoded values, as OpenTelemetry's variable has it."""
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if equals and name.strip():
            yield name.strip(), unquote(value.strip())
