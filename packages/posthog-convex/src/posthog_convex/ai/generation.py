"""A call of a model, reported by hand.

Owns the span that stands for it. Never calls a model, and needs no OpenTelemetry. One invariant: it
leaves with the run's report like every other span, so it is neither rolled back nor sent twice.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from posthog_convex.ai.choices import chosen
from posthog_convex.ai.run_spans import current
from pyconvex.runlog.otlp import (
    CLIENT,
    STATUS_ERROR,
    SpanEvent,
    SpanFacts,
    encode_resource,
    encode_scope,
    pack_span,
    plain,
    to_json,
)
from pyconvex.runlog.traces import SPAN, parse_traceparent

_RESOURCE = encode_resource({"service.name": "pyconvex", "telemetry.sdk.name": "posthog-convex"})
_SCOPE = encode_scope("posthog_convex.ai")


class ReportingCtx(Protocol):
    """A context, of whatever kind of function."""

    @property
    def traceparent(self) -> str:
        """Where in which trace the call is."""

    def report(
        self, kind: str, value: Any, *, durable: bool = False, each_caller: bool = False
    ) -> None:
        """Add an item to the run's report."""


async def capture_ai_generation(
    ctx: ReportingCtx,
    *,
    model: str,
    provider: str,
    input: str | Sequence[Mapping[str, Any]] | None = None,
    output: str | Sequence[Mapping[str, Any]] | None = None,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cache_read_input_tokens: int | None = None,
    cache_creation_input_tokens: int | None = None,
    latency_s: float = 0.0,
    name: str | None = None,
    base_url: str | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    stop_reason: str | None = None,
    error: BaseException | str | None = None,
    http_status: int | None = None,
    distinct_id: str | None = None,
    session_id: str | None = None,
    properties: Mapping[str, Any] | None = None,
) -> str:
    """Report a call of a model that ended just now; the id of its span.

    In every kind of function, also in a mutation that fails then. Trace, person and session come
    from the call, where `distinct_id` and `session_id` don't say otherwise; PostHog works out what
    it cost from model and tokens. `input` and `output` are a text, or messages as
    `{"role": …, "content": …}`. `latency_s` is how long it took, in seconds. Options of
    `posthog_convex.ai.options` hold for it too.

        began = time.perf_counter()
        answer = await my_model(question)
        await capture_ai_generation(
            ctx, model="llama-4", provider="own", input=question, output=answer.text,
            input_tokens=answer.read, output_tokens=answer.wrote,
            latency_s=time.perf_counter() - began,
        )
    """
    above, call, choices = parse_traceparent(ctx.traceparent), current(), chosen()
    now_ns = time.time_ns() if call is None else call.scope.now_ns()
    told: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.provider.name": provider,
        "gen_ai.input.messages": _messages("user", input),
        "gen_ai.output.messages": _messages("assistant", output),
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
        "gen_ai.usage.cache_read.input_tokens": cache_read_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": cache_creation_input_tokens,
        "gen_ai.tool.definitions": None if tools is None else _json(list(tools)),
        "server.address": base_url,
        "$ai_stop_reason": stop_reason,
        "http.response.status_code": http_status,
        "posthog.distinct_id": distinct_id,
        "$ai_session_id": session_id,
    }
    span = SpanFacts(
        trace_id=above.trace_id,
        span_id=secrets.token_hex(8),
        parent_id=above.span_id,
        name=name or f"chat {model}",
        start_ns=now_ns - round(latency_s * 1e9),
        end_ns=now_ns,
        kind=CLIENT,
        status=0 if error is None else STATUS_ERROR,
        status_message="" if error is None else str(error),
        attributes={**_given(told), **plain(properties or {})},
        events=[] if error is None else [_failure(error, now_ns)],
    )
    if call is not None:
        call.keep(span, choices, (_RESOURCE, _SCOPE))
    elif choices.tracing:
        _report(ctx, span)
    return span.span_id


def _report(ctx: ReportingCtx, span: SpanFacts) -> None:
    """Where no hook runs: in tests that call a function by itself."""
    ctx.report(SPAN, msgspec.Raw(pack_span(_RESOURCE, _SCOPE, span)), durable=True)


def _given(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if value is not None}


def _messages(role: str, said: str | Sequence[Mapping[str, Any]] | None) -> str | None:
    if said is None:
        return None
    return _json([{"role": role, "content": said}] if isinstance(said, str) else list(said))


def _json(value: Any) -> str:
    return to_json(value).decode()


def _failure(error: BaseException | str, now_ns: int) -> SpanEvent:
    if isinstance(error, str):
        return SpanEvent("exception", now_ns, {"exception.message": error})
    told = {"exception.type": type(error).__qualname__, "exception.message": str(error)}
    return SpanEvent("exception", now_ns, told)
