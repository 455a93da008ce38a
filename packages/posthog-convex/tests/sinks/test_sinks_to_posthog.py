from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest

from posthog_convex.component.report_lane import ReportLane
from posthog_convex.sinks import PostHogErrorTrackingSink, PostHogLogsSink
from posthog_convex.sinks.project import verify_project
from pyconvex.delivery import Accepted
from pyconvex.log_streams import (
    ConfigRefused,
    Deployment,
    NotVerified,
    Request,
    Response,
    Retry,
    Sink,
    StreamEvent,
    TooLarge,
    Unreachable,
    event_of,
    verification,
)
from pyconvex.log_streams.registry import sinks
from pyconvex.runlog import ExceptionReport, Frame, LogLine, Report, RunRecord, Usage
from pyconvex.runlog.entries import RunEntry, entries_of
from pyconvex.runlog.report import encode_value

TOKEN = "phc_canary0123456789"
CONFIG = {"apiKey": TOKEN, "host": "https://posthog.example/", "serviceName": None}
OF = Deployment(deployment_name="happy-otter-1", deployment_type="dev")
NUMBER = iter(range(10_000))


def record(user: str | None = None, lines: tuple[LogLine, ...] = (), **changes: Any) -> RunRecord:
    fields: dict[str, Any] = {
        "ts_ms": 1_717_243_200_000.5,
        "began_ms": 1_717_243_199_990.0,
        "request_id": "a1b2c3d4e5f60718",
        "execution_id": f"7c9e6679-7425-40de-944b-{next(NUMBER):012}",
        "kind": "mutation",
        "path": "shop:buy",
        "reason": "webSocket",
        "report": Report(Usage(wall_ms=3.4), lines, user_id=user, session_id=user and "s1"),
    }
    return RunRecord(**(fields | changes))


def failed(message: str = "no", user: str | None = None, **changes: Any) -> RunRecord:
    frames = (
        Frame("/srv/convex/shop.py", "buy", 12, True, "shop", "    pay(order)"),
        Frame("/srv/convex/pay.py", "Card.pay", 3, True, "pay", "    raise Declined", ("def pay",)),
    )
    cause = ExceptionReport("c1", "OSError", "timeout")
    error = ExceptionReport(
        f"00000000-0000-5000-8000-{next(NUMBER):012}",
        "pay.Declined",
        message,
        "pay",
        changes.pop("frames", frames),
        cause=cause,
        cause_named=True,
        data=changes.pop("data", None),
    )
    report = Report(exception=encode_value(error), user_id=user)
    return record(error=f"Uncaught Declined: {message}", report=report, **changes)


def entries(*records: RunRecord, kinds: frozenset[str]) -> list[RunEntry]:
    return [entry for each in records for entry in entries_of(each, kinds)]


def events(*records: RunRecord, kinds: frozenset[str]) -> list[StreamEvent]:
    found = [event_of(entry) for entry in entries(*records, kinds=kinds)]
    return [event for event in found if event is not None]


def lines_of(*records: RunRecord) -> list[StreamEvent]:
    return events(*records, kinds=frozenset({"log", "execution"}))


def errors_of(*records: RunRecord) -> list[StreamEvent]:
    return events(*records, kinds=frozenset({"exception"}))


def body_of(request: Request | None) -> Any:
    assert request is not None
    return json.loads(gzip.decompress(request.body))


def sent(sink: Sink, *found: StreamEvent, config: Mapping[str, Any] = CONFIG) -> list[Any]:
    request = sink.encode(found, config, OF)
    return [] if request is None else list(body_of(request)["batch"])


class TestRegistered:
    def test_installing_the_package_adds_both(self) -> None:
        assert sinks()["postHogLogs"] is PostHogLogsSink
        assert sinks()["postHogErrorTracking"] is PostHogErrorTrackingSink

    @pytest.mark.parametrize("kind", [PostHogLogsSink, PostHogErrorTrackingSink])
    def test_the_form_is_filled_from_the_apps_variables(self, kind: type[Sink]) -> None:
        prefilled = {field.name: field.prefill_env for field in kind.fields if field.prefill_env}
        assert prefilled == {"apiKey": "POSTHOG_PROJECT_TOKEN", "host": "POSTHOG_HOST"}
        (secret,) = [field.name for field in kind.fields if field.kind == "secret"]
        assert secret == "apiKey"


def check(sink: Sink, config: Mapping[str, Any]) -> None:
    """As the host does it."""
    for field in sink.fields:
        field.check(config.get(field.name))
    sink.validate(config)


class TestSettings:
    @pytest.mark.parametrize("sink", [PostHogLogsSink(), PostHogErrorTrackingSink()])
    @pytest.mark.parametrize(
        ("changes", "code", "said"),
        [
            ({"apiKey": ""}, "BadJsonBody", "PostHog project token is required"),
            ({"apiKey": "  "}, "InvalidPostHogProjectToken", "PostHog project token is required"),
            ({"apiKey": "phx_canary"}, "InvalidPostHogProjectToken", "personal API key"),
            ({"host": "posthog.example"}, "InvalidPostHogHost", "Must be a valid URL"),
            ({"host": "https://u:canary@h"}, "InvalidPostHogHost", "Must be a valid URL"),
        ],
    )
    def test_messages_are_those_of_convexs_forms(
        self, sink: Sink, changes: dict[str, Any], code: str, said: str
    ) -> None:
        config = CONFIG | changes
        with pytest.raises(ConfigRefused) as refused:
            check(sink, config)
        assert refused.value.code == code
        assert said in refused.value.message
        assert "canary" not in refused.value.message

    @pytest.mark.parametrize("host", [None, "", "https://eu.i.posthog.com/"])
    def test_the_host_is_optional(self, host: str | None) -> None:
        for sink in (PostHogLogsSink(), PostHogErrorTrackingSink()):
            sink.validate(CONFIG | {"host": host})

    @pytest.mark.parametrize(
        "changes", [{"sampleRate": 1.5}, {"sampleRate": -1}, {"maxPerMinute": 0.5}]
    )
    def test_rates_have_bounds(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ConfigRefused):
            PostHogErrorTrackingSink().validate(CONFIG | changes)


class Answers:
    def __init__(self, *answers: Response | None) -> None:
        self.answers = list(answers)
        self.urls: list[str] = []

    async def send(self, request: Request) -> Response:
        self.urls.append(request.url)
        answer = self.answers.pop(0)
        if answer is None:
            raise Unreachable("ConnectError: refused")
        return answer

    async def aclose(self) -> None:
        """There is nothing to close."""


class TestVerification:
    def verified(self, *answers: Response | None) -> list[str]:
        transport = Answers(*answers)
        asyncio.run(verify_project(CONFIG, transport, pause_s=0))
        return transport.urls

    def test_it_asks_for_flags(self) -> None:
        assert self.verified(Response(200, {})) == ["https://posthog.example/flags/?v=2"]

    def test_what_nobody_can_tell_is_no_fault(self) -> None:
        assert len(self.verified(Response(404, {}), Response(404, {}))) == 2

    def test_passing_trouble_passes(self) -> None:
        assert len(self.verified(None, Response(503, {}), Response(200, {}))) == 3

    def test_a_wrong_token_fails_at_once_without_being_shown(self) -> None:
        with pytest.raises(NotVerified, match="knows no project with this token") as failure:
            self.verified(Response(401, {}))
        assert TOKEN not in str(failure.value)

    def test_lasting_trouble_fails_with_the_last_reason(self) -> None:
        with pytest.raises(NotVerified, match=r"Gave up after 3 attempts, .*could not be reached"):
            self.verified(None, None, None)

    @pytest.mark.parametrize("sink", [PostHogLogsSink(), PostHogErrorTrackingSink()])
    def test_both_do_it_so(self, sink: Sink) -> None:
        asyncio.run(sink.verify(CONFIG, OF, Answers(Response(200, {}))))


class TestLogs:
    sink = PostHogLogsSink()

    @pytest.mark.parametrize(
        ("body", "verdict"),
        [
            (b"", Accepted()),
            (b"{}", Accepted()),
            (b"no JSON", Accepted()),
            (b'{"partialSuccess":{}}', Accepted()),
            (b'{"partialSuccess":null}', Accepted()),
            (
                b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}',
                Accepted(2, "too old"),
            ),
            (b'{"partialSuccess":{"rejectedLogRecords":3}}', Accepted(3)),
            (b'{"partialSuccess":{"rejectedLogRecords":"x"}}', Accepted()),
            (b'{"partialSuccess":{"errorMessage":"use v2"}}', Accepted(0, "use v2")),
        ],
    )
    def test_what_a_receiver_dropped_of_a_request_is_read(
        self, body: bytes, verdict: Accepted
    ) -> None:
        assert self.sink.classify(Response(200, {}, body)) == verdict

    def records(self, *found: StreamEvent) -> list[Any]:
        whole = body_of(self.sink.encode(found, CONFIG, OF))
        return list(whole["resourceLogs"][0]["scopeLogs"][0]["logRecords"])

    def test_a_line_reads_as_it_was_printed_and_is_its_persons(self) -> None:
        line = LogLine("WARN", "it's on", 1_717_243_199_991.25)
        shown, _ = self.records(*lines_of(record("ada", (line,))))
        said = {one["key"]: one["value"] for one in shown["attributes"]}
        assert shown["body"] == {"stringValue": "it's on"}
        assert shown["timeUnixNano"] == "1717243199991250000"
        assert shown["severityText"] == "WARN"
        assert said["posthogDistinctId"] == {"stringValue": "ada"}
        assert said["sessionId"] == {"stringValue": "s1"}
        assert said["convex.request_id"] == {"stringValue": "a1b2c3d4e5f60718"}
        assert shown["traceId"] == "b1e7cde893efc62d38832d7e07c7291e"
        assert len(bytes.fromhex(shown["spanId"])) == 8

    def test_a_run_that_did_not_look_is_nobodys(self) -> None:
        for shown in self.records(*lines_of(record(None, (LogLine("LOG", "a", 1.0),)))):
            assert "posthogDistinctId" not in {one["key"] for one in shown["attributes"]}

    def test_lines_of_nested_functions_bear_their_names(self) -> None:
        line = LogLine("LOG", "a", 1.0, "lib:send", "mail")
        shown, _ = self.records(*lines_of(record("ada", (line,))))
        said = {
            one["key"]: one["value"]["stringValue"]
            for one in shown["attributes"]
            if "stringValue" in one["value"]
        }
        assert said["convex.function.path"] == "lib:send"
        assert said["convex.component.path"] == "mail"

    def test_where_it_goes(self) -> None:
        request = self.sink.encode(lines_of(record()), CONFIG, OF)
        assert request is not None
        assert request.url == "https://posthog.example/i/v1/logs"
        assert dict(request.headers)["Authorization"] == f"Bearer {TOKEN}"
        resource = body_of(request)["resourceLogs"][0]["resource"]["attributes"]
        assert resource[0] == {"key": "service.name", "value": {"stringValue": "happy-otter-1"}}

    def test_lines_of_one_moment_keep_their_order(self) -> None:
        lines = tuple(LogLine("LOG", f"line {n}", 1000.0) for n in range(5))
        shown = self.records(*lines_of(record("ada", lines)))
        times = [int(one["timeUnixNano"]) for one in shown[:5]]
        assert times == [1_000_000_000 + n * 1000 for n in range(5)]

    def test_equal_events_make_equal_bytes(self) -> None:
        found = lines_of(record("ada", (LogLine("LOG", "a", 1.0),)))
        assert self.sink.encode(found, CONFIG, OF) == self.sink.encode(found, CONFIG, OF)

    def test_a_verification_is_no_line(self) -> None:
        assert self.sink.encode([verification(1.0)], CONFIG, OF) is None

    def test_what_does_not_fit_into_one_request_is_halved_by_the_host(self) -> None:
        found = lines_of(
            record("ada", tuple(LogLine("LOG", "\\" * 32_000, 1.0) for _ in range(80)))
        )
        with pytest.raises(ValueError, match=r"8\d records"):
            self.sink.encode(found, CONFIG, OF)
        assert len(self.records(*found[:20])) == 20

    def test_answers(self) -> None:
        assert self.sink.classify(Response(413, {})) == TooLarge("413")
        assert self.sink.classify(Response(429, {"retry-after": "900"})) == Retry("429", 900.0)
        refused = self.sink.classify(Response(401, {}))
        assert isinstance(refused, Retry)
        assert "check apiKey" in refused.reason


class TestErrors:
    def test_an_error_is_the_components_own_report_of_it(self) -> None:
        """Else both together would be two events."""
        run = failed(user="ada")
        (from_stream,) = sent(PostHogErrorTrackingSink(), *errors_of(run))
        lane = ReportLane()
        request = lane.encode(
            entries(run, kinds=frozenset({"exception"})), {"POSTHOG_PROJECT_TOKEN": TOKEN}
        )
        (from_component,) = body_of(request)["batch"]
        more = {"convex_deployment": "happy-otter-1", "convex_deployment_type": "dev"}
        assert from_stream.pop("properties") == from_component.pop("properties") | more
        assert from_stream == from_component

    def test_frames_causes_and_the_run(self) -> None:
        (event,) = sent(PostHogErrorTrackingSink(), *errors_of(failed(user="ada")))
        entry, cause = event["properties"]["$exception_list"]
        assert [frame["function"] for frame in entry["stacktrace"]["frames"]] == ["buy", "pay"]
        assert entry["stacktrace"]["frames"][-1]["context_line"] == "    raise Declined"
        assert (cause["type"], cause["mechanism"]["source"]) == ("OSError", "cause")
        assert "stacktrace" not in cause
        said = event["properties"]
        assert event["distinct_id"] == "ada"
        assert said["convex_function"] == "shop:buy"
        assert said["convex_run_reason"] == "webSocket"
        assert said["$trace_id"] == "b1e7cde893efc62d38832d7e07c7291e"
        assert len(bytes.fromhex(said["$span_id"])) == 8

    def test_a_trace_that_came_with_the_call_is_that_trace(self) -> None:
        run = failed(trace_id="0af7651916cd43dd8448eb211c80319c")
        (event,) = sent(PostHogErrorTrackingSink(), *errors_of(run))
        assert event["properties"]["$trace_id"] == "0af7651916cd43dd8448eb211c80319c"

    def test_nobodys_errors_make_no_person(self) -> None:
        (event,) = sent(PostHogErrorTrackingSink(), *errors_of(failed()))
        assert event["distinct_id"] == "a1b2c3d4e5f60718"
        assert event["properties"]["$process_person_profile"] is False

    def test_the_data_of_a_convex_error(self) -> None:
        run = failed(data=b'{"code":"SOLD_OUT"}')
        (event,) = sent(PostHogErrorTrackingSink(), *errors_of(run))
        assert event["properties"]["convex_error_data"] == {"code": "SOLD_OUT"}
        assert event["properties"]["$exception_list"][0]["mechanism"]["handled"] is True

    def test_a_rate_cap_counts_what_it_leaves_out(self) -> None:
        sink = PostHogErrorTrackingSink()
        config = CONFIG | {"maxPerMinute": 2}
        found = errors_of(*(failed(f"no {n}") for n in range(5)))
        assert len(sent(sink, *found, config=config)) == 2
        assert len(sent(sink, *found, config=config)) == 2, "a retry is the same batch"
        (late,) = sent(
            sink, *errors_of(failed("late", ts_ms=found[0].ts_ms + 30_000)), config=config
        )
        assert late["properties"]["convex_errors_left_out"] == 3

    def test_what_waited_for_posthog_counts_as_it_happened(self) -> None:
        began_ms = errors_of(failed())[0].ts_ms
        found = errors_of(*(failed(f"no {n}", ts_ms=began_ms + n * 60_000) for n in range(5)))
        config = CONFIG | {"maxPerMinute": 1}
        assert len(sent(PostHogErrorTrackingSink(), *found, config=config)) == 5, "one a minute"

    def test_a_clock_that_is_set_back_stops_nothing(self) -> None:
        sink, config = PostHogErrorTrackingSink(), CONFIG | {"maxPerMinute": 1}
        (first,) = errors_of(failed("first"))
        assert len(sent(sink, first, config=config)) == 1
        for minute in (-60, -59):
            (error,) = errors_of(failed(f"{minute}", ts_ms=first.ts_ms + minute * 60_000))
            found = sent(sink, error, config=config)
        assert len(found) == 1

    def test_a_sample_is_the_same_for_everybody(self) -> None:
        config = CONFIG | {"sampleRate": 0.5}
        found = errors_of(*(failed(f"no {n}") for n in range(60)))
        first = [event["uuid"] for event in sent(PostHogErrorTrackingSink(), *found, config=config)]
        again = [event["uuid"] for event in sent(PostHogErrorTrackingSink(), *found, config=config)]
        assert 10 < len(first) < 50
        assert first == again
        assert sent(PostHogErrorTrackingSink(), *found, config=CONFIG | {"sampleRate": 0}) == []

    def test_where_it_goes(self) -> None:
        request = PostHogErrorTrackingSink().encode(errors_of(failed()), CONFIG, OF)
        assert request is not None
        assert request.url == "https://posthog.example/batch/"
        assert TOKEN not in str(request.headers)
