"""An OpenTelemetry log record that holds an evaluation's result becomes an `$ai_evaluation` event.

Owns that mapping. Pure; the same record always becomes the same event, so that an exporter's retry
is stored once.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import msgspec

from posthog_local.ingest.event import IncomingEvent
from posthog_local.otlp.request import OtlpItem, attributes_of, nanoseconds, text_of
from posthog_local.traces.mapping import whose

_EVENT_IDS = UUID("6f1d2a0e-0d2b-5a57-9f0e-0b8a4c1d7e65")
_RESULT = "gen_ai.evaluation.result"
# Property, then the attribute that holds it.
_DIRECT = {
    "$ai_evaluation_name": "gen_ai.evaluation.name",
    "$ai_evaluation_id": "gen_ai.evaluation.id",
    "$ai_evaluation_score_label": "gen_ai.evaluation.score.label",
    "$ai_evaluation_score_value": "gen_ai.evaluation.score.value",
    "$ai_evaluation_reasoning": "gen_ai.evaluation.explanation",
    "$ai_response_id": "gen_ai.response.id",
    "$ai_model": "gen_ai.request.model",
}
_VERDICTS = {"pass": True, "true": True, "yes": True, "fail": False, "false": False, "no": False}


def ai_evaluation(item: OtlpItem, now_us: int) -> IncomingEvent | None:
    """The event, or None when the record is no evaluation's result."""
    record, attributes = item.record, attributes_of(item.record)
    if _RESULT not in (text_of(record, "eventName"), attributes.get("event.name")):
        return None
    trace_id, span_id = text_of(record, "traceId").lower(), text_of(record, "spanId").lower()
    distinct_id, known = whose(attributes, item.resource, trace_id)
    sent_ns = nanoseconds(record, "timeUnixNano") or nanoseconds(record, "observedTimeUnixNano")
    identity = msgspec.json.encode([trace_id, span_id, sent_ns, attributes]).decode()
    return IncomingEvent(
        uuid=str(uuid5(_EVENT_IDS, identity)),
        event="$ai_evaluation",
        distinct_id=distinct_id,
        timestamp_us=sent_ns // 1000 or now_us,
        received_us=now_us,
        properties=_properties(attributes, trace_id, span_id, known=known),
    )


def _properties(
    attributes: dict[str, Any], trace_id: str, span_id: str, *, known: bool
) -> dict[str, Any]:
    mapped = {name: attributes.get(place) for name, place in _DIRECT.items()}
    result, kind = _result(attributes)
    mapped |= {
        "$ai_trace_id": trace_id or None,
        "$ai_parent_id": span_id or None,
        "$ai_target_span_id": span_id or None,
        "$ai_evaluation_result": result,
        "$ai_evaluation_result_type": kind,
        "$ai_evaluation_runtime": "otel",
        "$ai_ingestion_source": "otel",
        "$process_person_profile": None if known else False,
    }
    taken = {"event.name", "user.id", "posthog.distinct_id"}
    rest = {name: value for name, value in attributes.items() if name not in taken}
    return {**rest, **{name: value for name, value in mapped.items() if value is not None}}


def _result(attributes: dict[str, Any]) -> tuple[Any, str | None]:
    """Passed or not where the label says so, else the score, else the label as it is."""
    label = attributes.get("gen_ai.evaluation.score.label")
    verdict = _VERDICTS.get(label.lower()) if isinstance(label, str) else None
    if verdict is not None:
        return verdict, "boolean"
    value = attributes.get("gen_ai.evaluation.score.value")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value, "numeric"
    return label, None if label is None else "text"
