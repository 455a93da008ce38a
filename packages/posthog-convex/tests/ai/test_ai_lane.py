"""The lane of AI spans, and which spans are kept how."""

from __future__ import annotations

import doctest
import gzip
import json
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_convex.ai import choices, content, lane
from posthog_convex.ai.content import MAX_SPAN_BYTES, with_attributes
from posthog_convex.ai.lane import AiSpanLane
from pyconvex.delivery import Accepted, Refused, Response, Retry, TooLarge
from pyconvex.runlog import Report, RunRecord
from pyconvex.runlog.entries import RunEntry
from pyconvex.runlog.otlp import (
    SpanFacts,
    SpanText,
    encode_resource,
    encode_scope,
    encode_span,
    kept_span,
    pack_span,
    request_body,
)
from pyconvex.runlog.report import decode_value
from pyconvex.runlog.traces import SPAN

ENV = {"POSTHOG_PROJECT_TOKEN": " phc_canary ", "POSTHOG_HOST": "http://127.0.0.1:9"}
MESSAGES = {"gen_ai.input.messages": '["my secret"]', "gen_ai.usage.input_tokens": 3}


def entry(report: Report | None = None, **attributes: Any) -> RunEntry:
    span = SpanFacts(
        trace_id="a" * 32,
        span_id="b" * 16,
        parent_id="",
        name="chat",
        start_ns=1,
        end_ns=2,
        attributes=attributes or MESSAGES,
    )
    packed = pack_span(encode_resource({"service.name": "x"}), encode_scope("s"), span)
    return RunEntry(
        kind=SPAN,
        id="1",
        component="",
        value=decode_value(packed),
        run=RunRecord(
            ts_ms=0,
            began_ms=0,
            request_id="r",
            execution_id="e",
            kind="action",
            path="a:b",
            report=report or Report(),
        ),
    )


def sent(*entries: RunEntry, **env: str) -> list[dict[str, Any]]:
    request = AiSpanLane().encode(entries, ENV | env)
    assert request is not None
    assert request.url == "http://127.0.0.1:9/i/v0/ai/otel"
    assert dict(request.headers)["Authorization"] == "Bearer phc_canary"
    body = json.loads(gzip.decompress(request.body))
    return [
        span
        for resource in body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def attributes_of(span: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values()), None) for a in span["attributes"]}


@pytest.mark.parametrize("module", [choices, content, lane], ids=lambda m: m.__name__)
def test_doctests(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_span_is_the_runs_unless_it_says_whose_it_is() -> None:
    run = Report(user_id="ada", session_id="s-1")
    [span] = sent(entry(run))
    assert attributes_of(span)["posthog.distinct_id"] == "ada"
    assert attributes_of(span)["$session_id"] == "s-1"
    own = {"posthog.distinct_id": "grace", "gen_ai.x": 1}
    [span] = sent(entry(run, **own))
    keys = [a["key"] for a in span["attributes"]]
    assert keys.count("posthog.distinct_id") == 1
    assert attributes_of(span)["posthog.distinct_id"] == "grace"
    [span] = sent(entry())
    assert "posthog.distinct_id" not in attributes_of(span)


def test_equal_entries_make_equal_bytes() -> None:
    first = AiSpanLane().encode([entry(), entry()], ENV)
    assert first == AiSpanLane().encode([entry(), entry()], ENV)


def test_privacy_mode_of_the_app_takes_out_what_was_said() -> None:
    [span] = sent(entry(Report(user_id="ada")), POSTHOG_AI_PRIVACY_MODE="1")
    assert "my secret" not in json.dumps(span)
    assert attributes_of(span)["gen_ai.usage.input_tokens"] == "3"
    assert attributes_of(span)["posthog.distinct_id"] == "ada"


def test_switched_off_nothing_is_sent() -> None:
    env = ENV | {"POSTHOG_DISABLE_AI_TRACING": "true"}
    assert AiSpanLane().encode([entry()], env) is None


def test_what_somebody_else_calls_a_span_is_passed_over() -> None:
    for value in ({"no": "span"}, [b"{}", b"{}", b"{}"], None):
        other = RunEntry(kind=SPAN, id="1", component="", value=value, run=entry().run)
        assert not AiSpanLane().admit(other)
    assert AiSpanLane().admit(entry())


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"{}", Accepted),
        (400, b'{"error":"quota exceeded"}', Retry),
        (400, b'{"error":"bad span"}', Refused),
        (413, b"", TooLarge),
        (401, b"", Retry),
        (503, b"", Retry),
    ],
)
def test_what_answers_mean(status: int, body: bytes, kind: type) -> None:
    assert isinstance(AiSpanLane().classify(Response(status, {}, body)), kind)


Values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), Values, max_size=5), st.dictionaries(st.text(), st.integers()))
def test_any_attributes_are_packed_and_sent(attrs: dict[str, Any], more: dict[str, Any]) -> None:
    bare = SpanFacts(
        trace_id="", span_id="", parent_id="", name="n", start_ns=0, end_ns=0, attributes=attrs
    )
    facts = with_attributes(bare, more)
    kept = kept_span(decode_value(pack_span(b"{}", b"{}", facts)))
    assert kept is not None
    assert set(kept.span.attributes) == {*attrs, *more}
    text = encode_span(kept.span)
    found = json.loads(text)
    assert {a["key"] for a in found["attributes"]} == {*attrs, *more}
    body = json.loads(request_body([SpanText(b"{}", b"{}", text)]))
    assert body["resourceSpans"][0]["scopeSpans"][0]["spans"] == [found]


class Model(StrEnum):
    SMALL = "small"


class Size(IntEnum):
    LARGE = 3


class Named(str):
    """Text with a class of its own."""


class Weight(float):
    """A number with a class of its own."""


def test_values_arrive_as_what_they_stand_for() -> None:
    various: dict[str, Any] = {
        "gen_ai.text": Named("a"),
        "gen_ai.model": Model.SMALL,
        "gen_ai.size": Size.LARGE,
        "gen_ai.weight": Weight(0.5),
        "gen_ai.large": 1 << 63,
        "gen_ai.list": (Named("b"), Size.LARGE),
        "gen_ai.none": None,
        "gen_ai.map": {"a": 1},
    }
    [span] = sent(entry(**various))
    assert {a["key"].removeprefix("gen_ai."): a["value"] for a in span["attributes"]} == {
        "text": {"stringValue": "a"},
        "model": {"stringValue": "small"},
        "size": {"intValue": "3"},
        "weight": {"doubleValue": 0.5},
        "large": {"stringValue": str(1 << 63)},
        "list": {"arrayValue": {"values": [{"stringValue": "b"}, {"intValue": "3"}]}},
        "none": {},
        "map": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}},
    }


def test_a_span_that_is_too_large_as_json_goes_without_what_was_said() -> None:
    said = "\x00" * (MAX_SPAN_BYTES // 4)  # escaped, six characters each
    [span] = sent(entry(**{"gen_ai.input.messages": said, "gen_ai.usage.input_tokens": 3}))
    assert attributes_of(span) == {
        "gen_ai.usage.input_tokens": "3",
        "pyconvex.content_left_out": "too large",
    }


def test_text_that_is_no_unicode_is_sent_without_what_is_not() -> None:
    [span] = sent(entry(**{"gen_ai.x": "a\ud800b"}))
    assert attributes_of(span)["gen_ai.x"] == "a?b"
