"""The lane that carries spans about AI to PostHog.

Owns the request, and what PostHog's answers to it mean. Never imports OpenTelemetry, and never sees
the app's code. One invariant: whose a span is, is what its run reports with it, unless the span
says so itself.

The component declares it, and without a component the host runs it for the app: one of both, so
that no span is sent twice.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Any

from posthog_convex.ai.choices import is_disabled, is_private
from posthog_convex.ai.content import MAX_SPAN_BYTES, too_large, with_attributes, without_content
from posthog_convex.component.batches import QUOTA_PAUSE_S, USER_AGENT, classify_batch
from posthog_convex.component.settings import misplaced_token
from posthog_convex.endpoints import AI_SPANS, normalise_host
from pyconvex.delivery import Limits, Refused, Request, Response, Retry, RunLogLane, Verdict
from pyconvex.runlog.entries import RunEntry
from pyconvex.runlog.otlp import SpanFacts, SpanText, encode_span, kept_span, request_body
from pyconvex.runlog.traces import SPAN

#: Attributes that say whose a span is.
_PERSON = ("posthog.distinct_id", "user.id", "ai.telemetry.metadata.posthog_distinct_id")


class AiSpanLane(RunLogLane):
    """Sends spans that runs kept to `POSTHOG_HOST`, at most 100 a request.

    With `POSTHOG_DISABLE_AI_TRACING` they are passed over, and with `POSTHOG_AI_PRIVACY_MODE` what
    was said is taken out.
    """

    reads = (SPAN,)
    needs = ("POSTHOG_PROJECT_TOKEN",)
    limits = Limits(max_rows=100, max_bytes=1_800_000)

    def admit(self, entry: RunEntry) -> bool:
        return kept_span(entry.value) is not None

    def unfit(self, env: Mapping[str, str]) -> str | None:
        return misplaced_token(env)

    def encode(self, entries: Sequence[RunEntry], env: Mapping[str, str]) -> Request | None:
        if is_disabled(env.get):
            return None
        private = is_private(env.get)
        texts = [_text(entry, private=private) for entry in entries]
        return Request(
            AI_SPANS.method,
            AI_SPANS.url(normalise_host(env.get("POSTHOG_HOST"))),
            (
                ("Authorization", f"Bearer {env['POSTHOG_PROJECT_TOKEN'].strip()}"),
                ("Content-Type", "application/json"),
                ("Content-Encoding", "gzip"),
                ("User-Agent", USER_AGENT),
            ),
            gzip.compress(request_body(texts), compresslevel=6, mtime=0),
        )

    def classify(self, response: Response) -> Verdict:
        verdict = classify_batch(response)
        if isinstance(verdict, Refused) and b"quota" in response.body:
            return Retry(
                "PostHog's quota for AI events is used up; raise the limit in billing",
                QUOTA_PAUSE_S,
            )
        return verdict


def _text(entry: RunEntry, *, private: bool) -> SpanText:
    kept = kept_span(entry.value)
    assert kept is not None, "an entry that is none was not admitted"
    span = without_content(kept.span) if private else kept.span
    span = with_attributes(span, _of_run(span, entry))
    text = encode_span(span)
    if len(text) > MAX_SPAN_BYTES:
        text = encode_span(too_large(span))
    return SpanText(kept.resource, kept.scope, text)


def _of_run(span: SpanFacts, entry: RunEntry) -> dict[str, Any]:
    """What the call tells of whose the span is."""
    person, session_id = entry.run.person, entry.run.report.session_id
    found: dict[str, Any] = {}
    if person is not None and not any(name in span.attributes for name in _PERSON):
        found["posthog.distinct_id"] = person
    if session_id is not None:
        found["$session_id"] = session_id
    return found
