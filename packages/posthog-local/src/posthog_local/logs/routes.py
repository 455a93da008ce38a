"""The logs route: OTLP over HTTP, in every encoding that exporters use.

Owns paths, caps and answers of PostHog's logs service.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol

from posthog_local.http.exchange import json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time
from posthog_local.ingest.tokens import Tokens
from posthog_local.ingest.warning import Note
from posthog_local.logs.record import ORIGINAL_TIMESTAMP, LogRecord, log_record
from posthog_local.otlp.request import read_logs
from posthog_local.otlp.routes import otlp_endpoint

# The cap of PostHog's cloud.
_MAX_BODY_BYTES = 10 * 1024 * 1024


class AddLogs(Protocol):
    """A sink that returns once all is durable."""

    def __call__(
        self, records: Sequence[LogRecord], notes: Sequence[Note] = ..., /
    ) -> Awaitable[None]: ...


def log_endpoints(add_logs: AddLogs, tokens: Tokens) -> Iterable[Endpoint]:
    """The logs route over a sink."""

    async def keep(body: bytes) -> None:
        now_us = time.time_ns() // 1000
        records = [log_record(item, now_us) for item in read_logs(body)]
        moved = [one for one in records if ORIGINAL_TIMESTAMP in one.attributes]
        await add_logs(records, [_moved(moved, now_us)] if moved else [])

    yield otlp_endpoint(
        paths=("/i/v1/logs", "/v1/logs"),
        max_body_bytes=_MAX_BODY_BYTES,
        over_quota=json_response({"error": "over the quota of logs"}, 429, retry_after="60"),
        tokens=tokens,
        keep=keep,
    )


def _moved(records: Sequence[LogRecord], now_us: int) -> Note:
    sent = records[0].attributes[ORIGINAL_TIMESTAMP]
    return Note(
        kind="log_timestamp_replaced",
        at_us=now_us,
        distinct_id=records[0].distinct_id,
        details={"lines": len(records), "first_sent": sent, "now": format_time(now_us)},
        payload=records[0].body,
    )
