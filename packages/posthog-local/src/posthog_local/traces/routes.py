"""The routes of LLM analytics: spans and evaluations over OTLP, and events with large parts.

Owns their paths, caps and answers. An answer of 200 means that every AI span, evaluation or event
of the request is durable; what is about something else was ignored, with a warning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from posthog_local.http.exchange import Request, Response, json_response, text_response
from posthog_local.http.refusal import Refusal
from posthog_local.http.router import Endpoint
from posthog_local.ingest.compression import unpack
from posthog_local.ingest.event import AddEvents, new_uuid7
from posthog_local.ingest.shapes import Receipt
from posthog_local.ingest.tokens import Tokens
from posthog_local.ingest.warning import Note
from posthog_local.otlp.request import OtlpItem, bearer_token, read_logs, read_spans, text_of
from posthog_local.otlp.routes import otlp_endpoint
from posthog_local.traces.evaluation import ai_evaluation
from posthog_local.traces.mapping import ai_event
from posthog_local.traces.multipart import Part, read_ai_event, read_parts
from posthog_local.traces.span import ai_span

_MAX_BODY_BYTES = 4 * 1024 * 1024
_MAX_PARTS_BYTES = 25 * 1024 * 1024
_MAX_SPANS = 1000
_MAX_AI_SPANS = 100
_OVER_QUOTA = json_response({"error": "quota exceeded"}, 400)
_log = logging.getLogger(__name__)


def trace_endpoints(add_events: AddEvents, tokens: Tokens) -> Iterable[Endpoint]:
    """The routes over a sink that returns once events are durable."""

    async def spans(body: bytes) -> None:
        items = read_spans(body)
        if len(items) > _MAX_SPANS:
            raise Refusal(400, f"a request holds at most {_MAX_SPANS} spans")
        found = [span for item in items if (span := ai_span(item)) is not None]
        if len(found) > _MAX_AI_SPANS:
            raise Refusal(400, f"a request holds at most {_MAX_AI_SPANS} AI spans")
        now_us = time.time_ns() // 1000
        notes = [_others(items, now_us)] if len(found) < len(items) else []
        await add_events([ai_event(span, now_us) for span in found], notes)

    async def evaluations(body: bytes) -> None:
        now_us = time.time_ns() // 1000
        items = read_logs(body)
        await add_events([one for item in items if (one := ai_evaluation(item, now_us))])

    async def parts(request: Request) -> Response:
        return await _take_parts(request, add_events, tokens)

    yield otlp_endpoint(
        paths=("/i/v0/ai/otel", "/i/v0/ai/otel/v1/traces"),
        max_body_bytes=_MAX_BODY_BYTES,
        over_quota=_OVER_QUOTA,
        tokens=tokens,
        keep=spans,
    )
    yield otlp_endpoint(
        paths=("/i/v0/ai/otel/v1/logs",),
        max_body_bytes=_MAX_BODY_BYTES,
        over_quota=_OVER_QUOTA,
        tokens=tokens,
        keep=evaluations,
    )
    yield Endpoint(
        paths=("/i/v0/ai",),
        handler=parts,
        max_body_bytes=_MAX_PARTS_BYTES,
        methods=frozenset(["POST"]),
        warns=True,
    )


async def _take_parts(request: Request, add_events: AddEvents, tokens: Tokens) -> Response:
    token = bearer_token(request)
    now_us = time.time_ns() // 1000
    body = unpack(request.body, request.header("content-encoding"))
    found = read_parts(body, request.header("content-type"))
    receipt = Receipt(now_us=now_us, query={}, new_uuid=lambda: new_uuid7(now_us))
    intake = read_ai_event(found, token, receipt)
    if not request.quota_limited and not await tokens.foreign(token, request.path):
        try:
            await add_events(intake.events, intake.notes)
        except Exception:
            _log.exception("an AI event could not be stored")
            return text_response(503, "the event could not be stored; send it again")
    return json_response({"accepted_parts": [_accepted(part) for part in found]})


def _accepted(part: Part) -> dict[str, object]:
    return {
        "name": part.name,
        "length": len(part.body),
        "content-type": part.content_type,
        "content-encoding": part.encoding or None,
    }


def _others(items: Sequence[OtlpItem], now_us: int) -> Note:
    others = [text_of(item.record, "name") for item in items if ai_span(item) is None]
    return Note(
        kind="spans_not_about_ai",
        at_us=now_us,
        details={"spans": len(others), "of": len(items)},
        payload="\n".join(dict.fromkeys(others[:50])),
    )
