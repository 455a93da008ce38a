"""How spans leave: once, whatever ends; without the component, with it, and to other collectors."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from collector import collecting
from model_server import ModelServer
from traced import HERE, PATIENCE_S, Deployment, Traces, tree

from posthog_local.testing import PostHogLocal
from pyconvex.runlog.traces import TraceContext, span_id_of
from pyconvex.runtime.calls import Failure, Success

BY_HAND = (HERE / "app/by_hand.py").read_text()
COMPONENT = """
from posthog_convex import posthog_component
from pyconvex import define_app, v

app = define_app(
    env={"POSTHOG_PROJECT_TOKEN": v.string(), "POSTHOG_HOST": v.optional(v.string())}
)
app.use(posthog_component, env=app.env)
"""


def folder(tmp_path: Path, **files: str) -> Path:
    made = tmp_path / "convex"
    made.mkdir()
    for name, text in files.items():
        (made / f"{name}.py").write_text(text)
    return made


def test_the_isolate_is_killed_right_after_the_call_returned(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "by_hand:captured")
    for pid in deployment.pids():
        os.kill(pid, signal.SIGKILL)
    traces.of(trace, 2)
    again = deployment.call("action", "by_hand:captured")
    traces.of(again, 2)
    traces.of(trace, 2)  # and nothing came twice


def test_a_long_action_shows_its_spans_before_its_end(
    deployment: Deployment, traces: Traces
) -> None:
    trace, ending = deployment.begin("action", "by_hand:step_by_step", {"gate": "long"})
    first = traces.at_least(trace, 1)[0]
    assert (first["properties"]["$ai_span_name"], first["distinct_id"]) == ("step 0", "ada")
    assert not ending.done()
    deployment.call("mutation", "by_hand:open_gate", {"name": "long"})
    assert isinstance(ending.result(PATIENCE_S)[1], Success)
    told = deployment.told(trace)
    assert {"by_hand:step_by_step", "step 0", "step 1"} <= {*told}
    found = traces.of(trace, len(told))
    assert len({event["properties"]["$ai_span_id"] for event in found}) == len(found)
    assert {event["distinct_id"] for event in found} == {"ada"}
    assert tree(found).splitlines()[0] == "$ai_trace by_hand:step_by_step"


def test_an_isolate_that_dies_within_a_run_leaves_the_spans_that_ended(
    deployment: Deployment, traces: Traces
) -> None:
    trace, ending = deployment.begin("action", "by_hand:step_by_step", {"gate": "never"})
    deployment.until(lambda: "step 0" in deployment.told(trace))
    for pid in deployment.pids():
        os.kill(pid, signal.SIGKILL)
    assert isinstance(ending.result(PATIENCE_S)[1], Failure)
    assert "by_hand:step_by_step" not in deployment.told(trace)
    names = [e["properties"]["$ai_span_name"] for e in traces.at_least(trace, 1)]
    assert names[0] == "step 0"


def test_with_the_component_its_lane_sends_and_the_hosts_does_not(
    local: PostHogLocal, tmp_path: Path
) -> None:
    app = folder(tmp_path, convex_config=COMPONENT, by_hand=BY_HAND)
    token, host = local.project_token, local.url
    with Deployment(
        app, tmp_path / "data", POSTHOG_PROJECT_TOKEN=token, POSTHOG_HOST=host
    ) as deployed:
        traces = Traces(local)
        trace = deployed.call("action", "by_hand:captured")
        traces.of(trace, 2)
        traces.of(deployed.call("action", "by_hand:captured"), 2)
        traces.of(trace, 2)
        deployed.until(lambda: "AiSpanLane" in {lane.lane for lane in deployed.lanes()})
        lanes = [lane for lane in deployed.lanes() if lane.lane == "AiSpanLane"]
        assert [lane.component for lane in lanes] == ["posthog"]


def test_the_hosts_lane_runs_only_where_a_token_is_set(tmp_path: Path) -> None:
    app = folder(tmp_path, by_hand=BY_HAND)
    with Deployment(app, tmp_path / "data") as deployed:
        assert deployed.server._lanes.pid is None
        deployed.call("action", "by_hand:captured")
        deployed.set_env(POSTHOG_PROJECT_TOKEN="phc_x", POSTHOG_HOST="http://127.0.0.1:1")
        deployed.until(lambda: [s.lane for s in deployed.lanes()] == ["AiSpanLane"])


OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider(resource=Resource({"service.name": "mine"})))
"""


def test_a_provider_that_the_app_sets_itself_stays(local: PostHogLocal, tmp_path: Path) -> None:
    app = folder(tmp_path, own=OWN_PROVIDER, by_hand=BY_HAND)
    token, host = local.project_token, local.url
    with Deployment(
        app, tmp_path / "data", POSTHOG_PROJECT_TOKEN=token, POSTHOG_HOST=host
    ) as deployed:
        events = Traces(local).of(deployed.call("query", "by_hand:rank", {"text": "abc"}), 3)
    assert tree(events).splitlines()[:2] == ["$ai_trace by_hand:rank", "  $ai_span rank"]
    assert events[1]["properties"]["service.name"] == "mine"


def test_every_function_is_a_span_for_a_collector_that_is_named(
    deployment: Deployment, model: ModelServer
) -> None:
    given = TraceContext("0af7651916cd43dd8448eb211c80319d", "b7ad6b7169203332")
    with collecting() as collector:
        deployment.set_env(
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20key",
        )
        deployment.until(lambda: "FunctionSpanLane" in {s.lane for s in deployment.lanes()})
        deployment.call("action", "models:noting", {"text": "say it"}, trace=given)

        def spans() -> list[dict[str, Any]]:
            return [s for s in collector.spans if s["traceId"] == given.trace_id]

        deployment.until(lambda: len(spans()) >= 4)
        deployment.set_env(OTEL_EXPORTER_OTLP_ENDPOINT=None, OTEL_EXPORTER_OTLP_HEADERS=None)
        deployment.until(lambda: "FunctionSpanLane" not in {s.lane for s in deployment.lanes()})
    names = {span["name"]: span for span in spans()}
    assert len(spans()) == 4
    assert set(names) == {"models:noting", "models:note", "models:notes", "chat gpt-4o-mini"}
    action = names["models:noting"]
    assert action["parentSpanId"] == given.span_id
    for name in ("models:note", "models:notes", "chat gpt-4o-mini"):
        assert names[name]["parentSpanId"] == action["spanId"]
    attributes = {a["key"]: a["value"] for a in action["attributes"]}
    execution = attributes["convex.execution_id"]["stringValue"]
    assert action["spanId"] == span_id_of(execution)
    assert collector.headers[0]["path"] == "/v1/traces"
    assert collector.headers[0]["authorization"] == "Bearer key"
