"""The logs routes: OTLP over HTTP, in every encoding that exporters use.

Owns paths, caps and answers of PostHog's logs service. `{}` with 200 means that every record is
durable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.decode import decode_by_encoding
from posthog_local.ingest.refusal import Refusal
from posthog_local.logs.record import LogRecord, log_record
from posthog_local.otlp.request import bearer_token, read_logs

# The cap of PostHog's cloud.
_MAX_BODY_BYTES = 10 * 1024 * 1024
_log = logging.getLogger(__name__)

AddLogs = Callable[[Sequence[LogRecord]], Awaitable[None]]


def log_endpoints(add_logs: AddLogs) -> Iterable[Endpoint]:
    """The logs routes over a sink that returns once records are durable."""

    async def logs(request: Request) -> Response:
        try:
            return await _logs(request, add_logs)
        except Refusal as refusal:
            return json_response({"error": refusal.sentence}, refusal.status)

    yield Endpoint(
        paths=("/i/v1/logs", "/v1/logs"),
        handler=logs,
        max_body_bytes=_MAX_BODY_BYTES,
        methods=frozenset(["POST"]),
    )


async def _logs(request: Request, add_logs: AddLogs) -> Response:
    bearer_token(request)
    if request.quota_limited:
        return json_response({"error": "over the quota of logs"}, 429, retry_after="60")
    body = decode_by_encoding(request.body, request.header("content-encoding"))
    now_us = time.time_ns() // 1000
    records = [log_record(item, now_us) for item in read_logs(body)]
    try:
        await add_logs(records)
    except Exception:
        _log.exception("log records could not be stored")
        return json_response({"error": "the records could not be stored"}, 503)
    return json_response({})
