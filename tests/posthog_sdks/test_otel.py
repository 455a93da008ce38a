"""The OpenTelemetry exporters of `@posthog/ai`, PyPI `posthog` and OpenTelemetry, unchanged."""

from __future__ import annotations

import logging
import subprocess
from typing import Any

import pytest
from nodes import HERE
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from posthog.ai.otel import PostHogSpanProcessor

from posthog_local.testing import PostHogLocal


def send_from_node(local: PostHogLocal, how: str) -> None:
    done = subprocess.run(
        ["node", "otel_driver.mjs", how, local.url, local.project_token],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("_npm_packages")
@pytest.mark.parametrize("how", ["posthog-processor", "posthog-exporter", "otlp-json"])
def test_spans_of_javascript_exporters(local: PostHogLocal, how: str) -> None:
    send_from_node(local, how)
    call = local.wait_for_event("$ai_generation", distinct_id="ada")["properties"]
    run = local.wait_for_event("$ai_trace", distinct_id="ada")["properties"]
    assert call["$ai_trace_id"] == run["$ai_trace_id"]
    assert call["$ai_parent_id"] == run["$ai_span_id"]
    assert (call["$ai_model"], call["$ai_provider"]) == ("gpt-4o-mini", "openai")
    assert call["$ai_input"] == [{"role": "user", "content": "soft?"}]
    assert call["$ai_output_choices"] == [{"role": "assistant", "content": "yes"}]
    assert call["$ai_total_cost_usd"] == pytest.approx(0.00021)
    assert "$ai_input_state" not in run  # it had none
    assert len(local.events()) == 2  # the span of a web request is not about AI


@pytest.mark.usefixtures("_npm_packages")
@pytest.mark.parametrize("how", ["logs-json", "logs-protobuf"])
def test_logs_of_javascript_exporters(local: PostHogLocal, how: str) -> None:
    send_from_node(local, how)
    assert_the_log_line(local)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_logs_of_the_python_exporter(local: PostHogLocal, compression: Compression) -> None:
    exporter = OTLPLogExporter(
        endpoint=f"{local.url}/i/v1/logs",
        headers={"authorization": f"Bearer {local.project_token}"},
        compression=compression,
    )
    provider = LoggerProvider(Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("cart", "1.2").emit(
        severity_number=SeverityNumber.WARN,
        severity_text="WARN",
        body="stock is low",
        attributes={"posthogDistinctId": "ada", "left": 2, "tags": ("a", "b")},
    )
    provider.shutdown()
    assert_the_log_line(local)


def assert_the_log_line(local: PostHogLocal) -> None:
    [line] = local.logs()
    assert (line["severity"], line["body"]) == ("warn", "stock is low")
    assert (line["service_name"], line["scope"]) == ("shop", "cart@1.2")
    assert line["distinct_id"] == "ada"
    assert (line["attributes"]["left"], line["attributes"]["tags"]) == (2, ["a", "b"])


def processors(local: PostHogLocal) -> dict[str, SpanProcessor]:
    exporter = OTLPSpanExporter(
        endpoint=f"{local.url}/i/v0/ai/otel",
        headers={"authorization": f"Bearer {local.project_token}"},
        compression=Compression.Gzip,
    )
    return {
        "posthog": PostHogSpanProcessor(local.project_token, host=local.url),
        "opentelemetry": SimpleSpanProcessor(exporter),
    }


@pytest.mark.parametrize("whose", ["posthog", "opentelemetry"])
def test_spans_of_python_exporters(
    local: PostHogLocal, whose: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processors(local)[whose])
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.provider.name": "anthropic",
        "posthog.distinct_id": "ada",
    }
    with provider.get_tracer("test").start_as_current_span("chat", attributes=attributes) as span:
        span.set_status(Status(StatusCode.ERROR, "overloaded"))
    with caplog.at_level(logging.WARNING):
        provider.shutdown()
    assert not [one for one in caplog.messages if "xport" in one]
    call = local.wait_for_event("$ai_generation", distinct_id="ada")["properties"]
    assert call["$ai_model"] == "claude-sonnet-4-5"
    assert (call["$ai_is_error"], call["$ai_error"]) == (True, "overloaded")
