from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest

from posthog_convex.ai.lane import AiSpanLane
from posthog_convex.component.lanes import EventLane, FlagLane
from posthog_convex.component.report_lane import ReportLane
from pyconvex.delivery import Accepted, Refused, Request, Response, Retry, TooLarge, Unreachable

ENV = {"POSTHOG_PROJECT_TOKEN": "phc_t", "POSTHOG_HOST": "http://127.0.0.1:1/"}
KEYED = {**ENV, "POSTHOG_PERSONAL_API_KEY": "phx_secret"}
EVENT = (
    '{"uuid":"u1","event":"café","distinct_id":"d","properties":{"$set":{"n":3}},"timestamp":"t"}'
)
DEFINITIONS = b'{"flags":[{"key":"a"}],"group_type_mapping":{},"cohorts":{}}'


@pytest.mark.parametrize("lane", [EventLane(), ReportLane(), AiSpanLane()])
@pytest.mark.parametrize("token", ["phx_secret", " phs_secret", "pha_secret"])
def test_nothing_is_sent_with_a_secret_in_place_of_the_token(lane: Any, token: str) -> None:
    # PostHog accepts events with some of them, and they are nobody's.
    told = lane.unfit({**ENV, "POSTHOG_PROJECT_TOKEN": token})
    assert told is not None
    assert "set it to the project token (phc_…)" in told
    assert "secret key" in told
    assert token.strip() not in told
    assert lane.unfit(ENV) is None


class TestEvents:
    def test_a_batch_is_a_gzipped_body_with_the_token_and_the_rows_as_they_are(self) -> None:
        request = EventLane().encode([EVENT, EVENT.replace("u1", "u2")], ENV)
        assert (request.method, request.url) == ("POST", "http://127.0.0.1:1/batch/")
        assert dict(request.headers)["Content-Encoding"] == "gzip"
        assert dict(request.headers)["Content-Type"] == "application/json"
        body = gzip.decompress(request.body).decode()
        assert EVENT in body
        decoded = json.loads(body)
        assert set(decoded) == {"api_key", "batch"}
        assert decoded["api_key"] == "phc_t"
        assert [event["uuid"] for event in decoded["batch"]] == ["u1", "u2"]

    def test_equal_rows_make_equal_bytes_whenever_they_are_encoded(self) -> None:
        made = EventLane().encode([EVENT], ENV).body
        assert made == EventLane().encode([EVENT], dict(ENV)).body
        assert made[4:8] == b"\0\0\0\0", "the gzip header holds a time"

    @pytest.mark.parametrize("row", ["{", "[]", '{"a":1} x', 3.0, {"uuid": "u"}, None, "\ud800"])
    def test_a_row_that_is_no_event_is_refused_before_it_spoils_a_batch(self, row: Any) -> None:
        with pytest.raises((ValueError, TypeError)):
            EventLane().encode([EVENT, row], ENV)

    @pytest.mark.parametrize(
        ("response", "verdict"),
        [
            (Response(200, {}, b'{"status":1}'), Accepted()),
            (Response(200, {}, b""), Accepted()),
            (Response(204, {}, b""), Accepted()),
            (Response(200, {}, b'{"status":1,"quota_limited":["recordings"]}'), Accepted()),
            (Response(400, {}, b"bad"), Refused("400: bad")),
            (Response(413, {}, b""), TooLarge("413")),
            (Response(429, {"retry-after": "9"}, b""), Retry("429", 9.0)),
            (Response(503, {}, b"sink"), Retry("503: sink", None)),
        ],
    )
    def test_answers_mean_what_posthog_means(self, response: Response, verdict: object) -> None:
        assert EventLane().classify(response) == verdict

    @pytest.mark.parametrize(
        ("response", "advice"),
        [
            (Response(200, {}, b'{"status":1,"quota_limited":["events"]}'), "quota"),
            (
                Response(200, {"content-type": "text/html; charset=utf-8"}, b"<html>"),
                "POSTHOG_HOST",
            ),
            (Response(404, {}, b""), "POSTHOG_HOST"),
            (Response(302, {}, b""), "POSTHOG_HOST"),
            (Response(401, {}, b"no"), "POSTHOG_PROJECT_TOKEN"),
        ],
    )
    def test_what_a_person_must_change_keeps_the_rows_and_says_so(
        self, response: Response, advice: str
    ) -> None:
        verdict = EventLane().classify(response)
        assert isinstance(verdict, Retry)
        assert advice in verdict.reason
        assert verdict.after_s == 60.0


class Context:
    """A `LaneContext` with a scripted PostHog and a component that keeps what it is given."""

    def __init__(self, *answers: Response | Unreachable, env: Mapping[str, str] = KEYED) -> None:
        self.env = env
        self.transport = self
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.stored: list[dict[str, Any]] = []
        self.unwritten = 0
        self.etag: str | None = None
        self.logged: list[tuple[str, str]] = []
        self.trouble: dict[str, Any] | None = None
        self.noted = 0

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    async def aclose(self) -> None:
        raise AssertionError("the pool is shared")

    async def run_query(self, path: str, args: Mapping[str, Any]) -> Any:
        assert (path, args) == ("flags:stored", {})
        return {"etag": self.etag, "failing": self.trouble and self.trouble["kind"]}

    async def run_mutation(self, path: str, args: Mapping[str, Any]) -> Any:
        if path == "poll:failed":
            self.trouble = dict(args)
            self.noted += 1
            return None
        if path == "poll:recovered":
            self.trouble = None
            return None
        assert path == "flags:store"
        self.stored.append(dict(args))
        self.etag = args["etag"]
        self.unwritten = max(0, self.unwritten - 1)
        return {"written": 1.0, "deleted": 0.0, "more": self.unwritten > 0}

    def log(self, level: str, text: str) -> None:
        self.logged.append((level, text))

    def now_ms(self) -> float:
        return 1234.0

    def jitter(self) -> float:
        return 1.0


def tick(ctx: Context, lane: FlagLane | None = None) -> float | None:
    return asyncio.run((lane or FlagLane()).tick(ctx))


class TestFlags:
    def test_definitions_are_fetched_with_the_key_and_stored_with_their_etag(self) -> None:
        ctx = Context(Response(200, {"etag": 'W/"1"'}, DEFINITIONS))
        assert tick(ctx) == 60.0
        (request,) = ctx.requests
        assert request.url == ("http://127.0.0.1:1/flags/definitions?token=phc_t&send_cohorts")
        assert dict(request.headers)["Authorization"] == "Bearer phx_secret"
        assert "If-None-Match" not in dict(request.headers)
        assert ctx.stored == [
            {"definitions": DEFINITIONS.decode(), "etag": 'W/"1"', "fetchedAt": 1234.0}
        ]
        assert ctx.logged == []

    def test_unchanged_definitions_write_nothing(self) -> None:
        ctx = Context(Response(304, {}, b""))
        ctx.etag = 'W/"1"'
        assert tick(ctx) == 60.0
        assert dict(ctx.requests[0].headers)["If-None-Match"] == 'W/"1"'
        assert ctx.stored == []

    def test_storing_goes_on_until_all_is_written(self) -> None:
        ctx = Context(Response(200, {}, DEFINITIONS))
        ctx.unwritten = 3
        tick(ctx)
        assert len(ctx.stored) == 3
        assert ctx.stored[0] == ctx.stored[2]

    def test_disabled_it_rests_until_variables_change(self) -> None:
        ctx = Context(env={**KEYED, "POSTHOG_DISABLE_LOCAL_EVALUATION": "true"})
        assert tick(ctx) is None
        assert ctx.requests == []
        ctx = Context(
            Response(304, {}, b""), env={**KEYED, "POSTHOG_DISABLE_LOCAL_EVALUATION": "false"}
        )
        assert tick(ctx) == 60.0

    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (401, "feature_flag:read"),
            (403, "phs_"),
            (402, "billing"),
            (429, "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS"),
            (400, "POSTHOG_HOST"),
        ],
    )
    def test_a_refusal_keeps_the_definitions_and_says_once_what_to_do(
        self, status: int, advice: str
    ) -> None:
        lane = FlagLane()
        ctx = Context(*[Response(status, {}, b"no phx_secret")] * 2, Response(304, {}, b""))
        assert [tick(ctx, lane) for _ in range(3)] == [60.0] * 3
        assert ctx.stored == []
        (level, text), (_, recovered) = ctx.logged
        assert level == "error"
        assert advice in text
        assert "last definitions stay in force" in text
        assert "phx_secret" not in text
        assert recovered == "flag definitions are fresh again"

    @pytest.mark.parametrize(
        ("name", "value"),
        [("POSTHOG_PERSONAL_API_KEY", "phc_t"), ("POSTHOG_PROJECT_TOKEN", "phx_secret")],
    )
    def test_a_key_of_the_wrong_kind_is_refused_by_name_and_not_sent(
        self, name: str, value: str
    ) -> None:
        ctx = Context(env={**KEYED, name: value})
        assert tick(ctx) == 60.0
        assert ctx.requests == []
        ((level, text),) = ctx.logged
        assert level == "error"
        assert text.startswith(name)
        assert "phx_secret" not in text

    def test_an_answer_that_is_no_definitions_changes_nothing(self) -> None:
        for body in (b"<html>", b"{}", b'{"flags":{}}', b""):
            ctx = Context(Response(200, {}, body))
            assert tick(ctx) == 60.0
            assert ctx.stored == []
            assert "POSTHOG_HOST" in ctx.logged[0][1]

    def test_an_outage_is_asked_again_soon_and_then_at_the_interval(self) -> None:
        lane = FlagLane()
        down = [Unreachable("refused"), Response(503, {}, b"")] * 5
        ctx = Context(*down, Response(304, {}, b""))
        pauses = [tick(ctx, lane) for _ in down]
        assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
        assert pauses[-1] == 60.0
        assert tick(ctx, lane) == 60.0
        assert ctx.logged[0][0] == "warn"
        assert ctx.logged[-1] == ("info", "flag definitions are fresh again")

    def test_retry_after_is_respected(self) -> None:
        assert tick(Context(Response(503, {"retry-after": "100"}, b""))) == 100.0
        assert tick(Context(Response(429, {"retry-after": "200"}, b""))) == 200.0

    def test_an_older_server_is_asked_at_the_older_address(self) -> None:
        ctx = Context(Response(404, {}, b""), Response(200, {}, DEFINITIONS))
        tick(ctx)
        assert "/api/feature_flag/local_evaluation?token=phc_t" in ctx.requests[1].url
        assert len(ctx.stored) == 1

    @pytest.mark.parametrize(
        ("text", "pause", "warnings"),
        [
            ("30", 30.0, 0),
            (" 2.5 ", 2.5, 0),
            ("", 60.0, 0),
            ("soon", 60.0, 1),
            ("0", 60.0, 1),
            ("-5", 60.0, 1),
            ("inf", 60.0, 1),
            ("nan", 60.0, 1),
        ],
    )
    def test_the_interval_is_read_and_a_bad_one_is_warned_about_once(
        self, text: str, pause: float, warnings: int
    ) -> None:
        lane = FlagLane()
        env = {**KEYED, "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": text}
        ctx = Context(*[Response(304, {}, b"")] * 2, env=env)
        assert [tick(ctx, lane), tick(ctx, lane)] == [pause, pause]
        assert [level for level, _ in ctx.logged] == ["warn"] * warnings

    def test_trouble_is_noted_once_a_kind_and_ends_with_a_good_answer(self) -> None:
        lane = FlagLane()
        ctx = Context(
            Response(304, {}, b""),
            Response(503, {}, b"one"),
            Response(503, {}, b"other words"),
            Unreachable("refused"),
            Response(402, {}, b""),
            Response(402, {}, b""),
            Response(304, {}, b""),
            Response(304, {}, b""),
        )
        tick(ctx, lane)
        assert (ctx.noted, ctx.trouble) == (0, None)
        tick(ctx, lane)
        assert ctx.trouble == {
            "kind": "status 503",
            "error": "503 one",
            "at": 1234.0,
            "confirmedAt": 1234.0,
        }
        noted = []
        for _ in range(4):
            tick(ctx, lane)
            noted.append(ctx.noted)
        assert noted == [1, 2, 3, 3]
        tick(ctx, lane)
        assert ctx.trouble is None
        tick(ctx, lane)
        assert ctx.noted == 3

    def test_a_new_process_ends_the_trouble_of_the_one_before(self) -> None:
        ctx = Context(Response(304, {}, b""))
        ctx.trouble = {"kind": "status 503"}
        tick(ctx)
        assert ctx.trouble is None
        assert ctx.logged == []
