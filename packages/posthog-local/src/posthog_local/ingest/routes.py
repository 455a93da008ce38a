"""The capture routes: a request becomes events on disk, then an answer.

Owns paths, caps and responses of PostHog's ingestion, v0 and v1. An answer of 200 means that every
event of the request is durable; a refused request left nothing behind.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

import msgspec

from posthog_local.http.exchange import Request, Response, json_response, text_response
from posthog_local.http.refusal import Refusal
from posthog_local.http.router import Endpoint
from posthog_local.ingest.capture_v1 import V1Intake, V1Receipt, read_sdk, read_v1
from posthog_local.ingest.clock import parse_time_us
from posthog_local.ingest.compression import unpack
from posthog_local.ingest.decode import Payload, decode, parse_json
from posthog_local.ingest.event import AddEvents, new_uuid7
from posthog_local.ingest.shapes import Receipt, read_events, valid_token
from posthog_local.ingest.tokens import Tokens

_MEGABYTE = 1024 * 1024
# Caps of PostHog's capture service.
_BATCH_BYTES = 20 * _MEGABYTE
_EVENT_BYTES = 2 * _MEGABYTE
_BATCH_PATHS = ("/batch", "/i/v0/ai/batch")
_LEGACY_PATHS = frozenset(["/e", "/capture", "/track", "/engage"])
_EVENT_PATHS = ("/i/v0/e", *_LEGACY_PATHS)
# The second is its name of an earlier month.
_V1_PATHS = ("/i/v1/analytics/events", "/i/v1/general/events")
_V1_BYTES = 10 * _MEGABYTE
_V1_HEADERS = ("posthog-sdk-info", "posthog-attempt", "posthog-request-id")
_ACCEPTED = json_response({"status": 1})
_OVER_QUOTA = json_response({"status": 1, "quota_limited": ["events"]})
_log = logging.getLogger(__name__)


def capture_endpoints(add_events: AddEvents, tokens: Tokens) -> Iterable[Endpoint]:
    """The v0 capture routes over a sink that returns once events are durable."""

    async def capture(request: Request) -> Response:
        return await _capture(request, add_events, tokens)

    async def capture_v1(request: Request) -> Response:
        return await _capture_v1(request, add_events, tokens)

    yield Endpoint(
        paths=_V1_PATHS,
        handler=capture_v1,
        max_body_bytes=_V1_BYTES,
        methods=frozenset(["POST"]),
        warns=True,
    )
    yield Endpoint(paths=_BATCH_PATHS, handler=capture, max_body_bytes=_BATCH_BYTES, warns=True)
    yield Endpoint(paths=_EVENT_PATHS, handler=capture, max_body_bytes=_EVENT_BYTES, warns=True)


async def _capture(request: Request, add_events: AddEvents, tokens: Tokens) -> Response:
    path = request.path.rstrip("/")
    now_us = time.time_ns() // 1000
    document = decode(payload_of(request, legacy=path in _LEGACY_PATHS))
    intake = read_events(
        document,
        Receipt(
            now_us=now_us,
            query=request.query,
            new_uuid=lambda: new_uuid7(now_us),
            engage=path == "/engage",
        ),
    )
    if request.quota_limited:
        return _OVER_QUOTA
    dropped = await tokens.foreign(intake.token, request.path)
    if not dropped and (intake.events or intake.notes):
        try:
            await add_events(intake.events, intake.notes)
        except Exception:
            _log.exception("events could not be stored")
            return text_response(503, "the events could not be stored; send them again")
    return Response(status=204) if request.query.get("beacon") == "1" else _ACCEPTED


async def _capture_v1(request: Request, add_events: AddEvents, tokens: Tokens) -> Response:
    echo = (("posthog-request-id", request.header("posthog-request-id")),)
    try:
        intake = _read_v1(request)
        if request.quota_limited:
            raise Refusal(402, "the project is over its quota of events")
        if not await tokens.foreign(_token_v1(request), request.path):
            await add_events(intake.events, intake.notes)
    except Refusal as refusal:
        response = _v1_error(refusal.status, refusal.sentence)
    except Exception:
        _log.exception("events could not be stored")
        response = _v1_error(503, "the events could not be stored; send them again")
    else:
        response = json_response({"results": intake.verdicts})
    return msgspec.structs.replace(response, headers=echo)


def _read_v1(request: Request) -> V1Intake:
    _token_v1(request)
    for name in _V1_HEADERS:
        if not request.header(name):
            raise Refusal(400, f"the header {name} is missing")
    sent_at_us = parse_time_us(request.header("posthog-request-timestamp"))
    if sent_at_us is None:
        raise Refusal(400, "the header posthog-request-timestamp must be an RFC 3339 time")
    if not request.header("content-type").startswith("application/json"):
        raise Refusal(415, "send application/json")
    receipt = V1Receipt(
        now_us=time.time_ns() // 1000,
        sent_at_us=sent_at_us,
        sdk=read_sdk(request.header("posthog-sdk-info")),
    )
    text = unpack(request.body, request.header("content-encoding"))
    return read_v1(parse_json(text), receipt)


def _token_v1(request: Request) -> str:
    return valid_token(request.header("authorization").removeprefix("Bearer"))


def _v1_error(status: int, sentence: str) -> Response:
    error = {400: "bad_request", 401: "unauthorized", 402: "quota_limited"}.get(status, "error")
    return json_response({"error": error, "error_description": sentence, "error_uri": ""}, status)


def payload_of(request: Request, *, legacy: bool) -> Payload:
    """What decoding needs to know of a request."""
    if request.method == "GET" and not request.query.get("data"):
        raise Refusal(400, "empty payload: send events as JSON")
    return Payload(
        method=request.method,
        query=request.query,
        content_type=request.header("content-type"),
        content_encoding=request.header("content-encoding"),
        body=request.body,
        legacy=legacy,
    )
