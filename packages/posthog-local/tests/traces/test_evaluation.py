"""Evaluations that arrive as OpenTelemetry log records."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen

import pytest

from posthog_local.otlp.request import OtlpItem
from posthog_local.testing import PostHogLocal
from posthog_local.traces.evaluation import ai_evaluation

_TRACE, _SPAN = "000102030405060708090a0b0c0d0e0f", "0001020304050607"


def record(**attributes: Any) -> dict[str, Any]:
    def value(one: Any) -> dict[str, Any]:
        return {"doubleValue": one} if isinstance(one, float) else {"stringValue": one}

    pairs = [{"key": k.replace("__", "."), "value": value(one)} for k, one in attributes.items()]
    return {"eventName": "gen_ai.evaluation.result", "traceId": _TRACE, "spanId": _SPAN,
            "timeUnixNano": "1767225600000000000", "attributes": pairs}  # fmt: skip


def properties(**attributes: Any) -> dict[str, Any]:
    item = OtlpItem(resource={}, scope_name="", scope_version="", record=record(**attributes))
    found = ai_evaluation(item, 0)
    assert found is not None
    return found.properties


@pytest.mark.parametrize(
    ("label", "score", "result", "kind"),
    [
        ("pass", 0.9, True, "boolean"),
        ("Fail", 0.1, False, "boolean"),
        ("so-so", 0.5, 0.5, "numeric"),
        (None, 0.5, 0.5, "numeric"),
        ("so-so", None, "so-so", "text"),
    ],
)
def test_the_result_is_a_verdict_a_score_or_a_label(
    label: str | None, score: float | None, result: object, kind: str
) -> None:
    given = {"gen_ai__evaluation__score__label": label, "gen_ai__evaluation__score__value": score}
    found = properties(**{name: value for name, value in given.items() if value is not None})
    assert (found["$ai_evaluation_result"], found["$ai_evaluation_result_type"]) == (result, kind)


def test_other_records_are_no_evaluation() -> None:
    other = OtlpItem(
        resource={}, scope_name="", scope_version="", record={**record(), "eventName": "x"}
    )
    assert ai_evaluation(other, 0) is None


def test_an_evaluation_stands_in_its_trace_once(local: PostHogLocal) -> None:
    given = record(gen_ai__evaluation__name="softness", gen_ai__evaluation__score__value=0.8,
                   gen_ai__evaluation__explanation="it is soft", user__id="ada")  # fmt: skip
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [given, {"body": {}}]}]}]}
    for _ in range(2):
        request = Request(
            local.url + "/i/v0/ai/otel/v1/logs",
            json.dumps(body).encode(),
            {"Authorization": "Bearer phc_a"},
        )
        urlopen(request).close()
    [event] = local.events("$ai_evaluation")
    assert event["distinct_id"] == "ada"
    found = event["properties"]
    assert found["$ai_trace_id"] == _TRACE
    assert found["$ai_target_span_id"] == _SPAN
    assert found["$ai_evaluation_name"] == "softness"
    assert found["$ai_evaluation_score_value"] == 0.8
    assert found["$ai_evaluation_reasoning"] == "it is soft"
    assert found["$ai_evaluation_runtime"] == "otel"
