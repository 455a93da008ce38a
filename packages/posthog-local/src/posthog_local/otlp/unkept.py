"""What PostHog takes over OTLP and this server does not keep: metrics, and traces not about AI.

Owns these routes. They accept, so that an SDK that sends such things goes on undisturbed, and leave
a warning, so that nobody looks for them in vain.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from posthog_local.http.exchange import json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.tokens import Tokens
from posthog_local.ingest.warning import Note, body_text
from posthog_local.otlp.request import read_spans, text_of
from posthog_local.otlp.routes import otlp_endpoint

# The cap of PostHog's cloud.
_MAX_BODY_BYTES = 10 * 1024 * 1024
_OVER_QUOTA = json_response({"error": "over the quota"}, 429, retry_after="60")

AddNotes = Callable[[Sequence[Note]], Awaitable[None]]


def unkept_endpoints(add_notes: AddNotes, tokens: Tokens) -> Iterable[Endpoint]:
    """The routes over a sink for warnings."""

    async def metrics(body: bytes) -> None:
        await add_notes([_note("metrics_not_kept", {"bytes": len(body)}, body_text(body))])

    async def traces(body: bytes) -> None:
        names = [text_of(item.record, "name") for item in read_spans(body)]
        if names:
            listed = "\n".join(dict.fromkeys(names[:50]))
            await add_notes([_note("traces_not_kept", {"spans": len(names)}, listed)])

    for paths, keep in (
        (("/i/v1/metrics", "/v1/metrics"), metrics),
        (("/i/v1/traces", "/v1/traces"), traces),
    ):
        yield otlp_endpoint(
            paths=paths,
            max_body_bytes=_MAX_BODY_BYTES,
            over_quota=_OVER_QUOTA,
            tokens=tokens,
            keep=keep,
        )


def _note(kind: str, details: dict[str, int], payload: str) -> Note:
    return Note(kind=kind, at_us=time.time_ns() // 1000, details=dict(details), payload=payload)
