"""The OTLP route of LLM analytics.

Owns its paths, caps and answers. `{}` with 200 means that every AI span of the request is durable
as an event; other spans were ignored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.decode import decode_by_encoding
from posthog_local.ingest.refusal import Refusal
from posthog_local.ingest.routes import AddEvents
from posthog_local.otlp.request import bearer_token, read_spans
from posthog_local.traces.mapping import ai_event
from posthog_local.traces.span import ai_span

_MAX_BODY_BYTES = 4 * 1024 * 1024
_MAX_SPANS = 1000
_MAX_AI_SPANS = 100
_log = logging.getLogger(__name__)


def trace_endpoints(add_events: AddEvents) -> Iterable[Endpoint]:
    """The route over a sink that returns once events are durable."""

    async def traces(request: Request) -> Response:
        try:
            return await _traces(request, add_events)
        except Refusal as refusal:
            return json_response({"error": refusal.sentence}, refusal.status)

    yield Endpoint(
        paths=("/i/v0/ai/otel", "/i/v0/ai/otel/v1/traces"),
        handler=traces,
        max_body_bytes=_MAX_BODY_BYTES,
        methods=frozenset(["POST"]),
    )


async def _traces(request: Request, add_events: AddEvents) -> Response:
    bearer_token(request)
    if request.quota_limited:
        raise Refusal(400, "quota exceeded")
    items = read_spans(decode_by_encoding(request.body, request.header("content-encoding")))
    if len(items) > _MAX_SPANS:
        raise Refusal(400, f"a request holds at most {_MAX_SPANS} spans")
    spans = [span for item in items if (span := ai_span(item)) is not None]
    if len(spans) > _MAX_AI_SPANS:
        raise Refusal(400, f"a request holds at most {_MAX_AI_SPANS} AI spans")
    now_us = time.time_ns() // 1000
    try:
        await add_events([ai_event(span, now_us) for span in spans])
    except Exception:
        _log.exception("spans could not be stored")
        return json_response({"error": "the spans could not be stored"}, 503)
    return json_response({})
