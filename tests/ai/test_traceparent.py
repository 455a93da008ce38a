"""A trace that begins in somebody else's program, goes through functions over HTTP, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from collector import collecting
from model_server import ModelServer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from traced import PATIENCE_S, Deployment, Traces, tree

from pyconvex.runlog.traces import parse_traceparent


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    """Another program's; not this process's own provider, which functions may not share."""
    provider = TracerProvider(id_generator=RandomIdGenerator(), shutdown_on_exit=False)
    yield provider.get_tracer("caller")
    provider.shutdown()


@pytest.fixture
def caller() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=PATIENCE_S) as client:
        yield client


def ids(span: Span) -> tuple[str, str]:
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def headers_of_here() -> dict[str, str]:
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    assert "traceparent" in headers
    return headers


def call_action(caller: httpx.Client, url: str, path: str, **args: Any) -> Any:
    body = {"path": path, "args": args, "format": "json"}
    answer = caller.post(f"{url}/api/action", json=body, headers=headers_of_here())
    found = answer.json()
    assert found["status"] == "success", found
    return found["value"]


def test_an_action_is_in_the_trace_of_who_calls_it_over_http(
    deployment: Deployment, traces: Traces, tracer: Tracer, caller: httpx.Client
) -> None:
    with tracer.start_as_current_span("GET /checkout") as parent:
        trace, parent_span = ids(parent)
        url = deployment.server.url
        assert call_action(caller, url, "models:chat", text="say hello", user="ada") == "hello"
        where = parse_traceparent(call_action(caller, url, "models:where"))
    events = traces.of(trace, 2)
    assert tree(events) == "$ai_trace models:chat\n  $ai_generation chat gpt-4o-mini"
    assert {event["distinct_id"] for event in events} == {"ada"}
    assert where.trace_id == trace
    assert where.span_id not in ("", parent_span), "the function's own span"


def test_an_http_action_is_too_and_so_is_what_it_calls(
    deployment: Deployment, traces: Traces, tracer: Tracer, caller: httpx.Client
) -> None:
    with tracer.start_as_current_span("webhook") as parent:
        trace, _ = ids(parent)
        url = f"{deployment.server.site_url}/ask"
        answer = caller.post(url, json={"text": "say salut"}, headers=headers_of_here()).json()
    assert answer["answer"] == "salut"
    here = parse_traceparent(answer["traceparent"])
    assert here.trace_id == trace
    events = traces.of(trace, 3)
    names = [line.strip() for line in tree(events).splitlines()]
    assert names[0].startswith("$ai_trace ")
    assert names[1:] == ["$ai_span models:inner", "$ai_generation chat gpt-4o-mini"]
    root = events[0]["properties"]
    assert (root["convex.kind"], root["$ai_span_id"]) == ("http_action", here.span_id)
    assert {event["distinct_id"] for event in events} == {"ada"}


def test_without_a_header_or_with_a_broken_one_the_request_has_a_trace_of_its_own(
    deployment: Deployment, caller: httpx.Client
) -> None:
    found = set()
    for header in (None, "00-0af7651916cd43dd8448eb211c80319c-zz-01", "00-" + "0" * 32):
        body = {"path": "models:where", "args": {}, "format": "json"}
        headers = {} if header is None else {"traceparent": header}
        answer = caller.post(f"{deployment.server.url}/api/action", json=body, headers=headers)
        found.add(parse_traceparent(answer.json()["value"]).trace_id)
    assert len(found) == 3
    assert "" not in found
    assert "0af7651916cd43dd8448eb211c80319c" not in found


def test_what_an_action_asks_of_others_can_be_in_its_trace(
    deployment: Deployment,
    model: ModelServer,
    tracer: Tracer,
    caller: httpx.Client,
) -> None:
    with tracer.start_as_current_span("job") as parent:
        trace, parent_span = ids(parent)
        call_action(caller, deployment.server.url, "models:passed_on", text="say handed on")
    sent = next(h for _, body, h in model.requests if "handed on" in str(body))
    handed = parse_traceparent(sent["traceparent"])
    assert handed.trace_id == trace
    assert handed.span_id not in ("", parent_span)


def test_a_collector_hangs_functions_below_the_span_that_called_them(
    deployment: Deployment, tracer: Tracer, caller: httpx.Client
) -> None:
    with collecting() as collector:
        deployment.set_env(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        deployment.until(lambda: "FunctionSpanLane" in {s.lane for s in deployment.lanes()})
        with tracer.start_as_current_span("webhook") as parent:
            trace, parent_span = ids(parent)
            url = f"{deployment.server.site_url}/ask"
            caller.post(url, json={"text": "say cucu"}, headers=headers_of_here())
            call_action(caller, deployment.server.url, "models:where")

        def spans() -> list[dict[str, Any]]:
            return [span for span in collector.spans if span["traceId"] == trace]

        deployment.until(lambda: len(spans()) >= 4)
        deployment.set_env(OTEL_EXPORTER_OTLP_ENDPOINT=None)
        deployment.until(lambda: "FunctionSpanLane" not in {s.lane for s in deployment.lanes()})
    assert len(spans()) == 4
    by_name = {span["name"]: span for span in spans()}
    below = [span["name"] for span in spans() if span["parentSpanId"] == parent_span]
    assert "models:where" in below
    assert len(below) == 2, "the HTTP action and the action"
    webhook = next(
        span for name, span in by_name.items() if name in below and name != "models:where"
    )
    assert by_name["models:inner"]["parentSpanId"] == webhook["spanId"]
    assert by_name["chat gpt-4o-mini"]["parentSpanId"] == by_name["models:inner"]["spanId"]
