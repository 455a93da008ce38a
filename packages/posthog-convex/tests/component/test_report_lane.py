"""Which reports are sent, once, and as what."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_convex import events
from posthog_convex.component import reported
from posthog_convex.component.once import Once
from posthog_convex.component.report_lane import ReportLane
from posthog_convex.events import Exposure, Stamp
from pyconvex.delivery import Accepted, Response
from pyconvex.runlog import ExceptionReport, Frame, Report, RunRecord
from pyconvex.runlog.entries import RunEntry

ENV = {"POSTHOG_PROJECT_TOKEN": "phc_t", "POSTHOG_HOST": "http://127.0.0.1:1"}
ERROR = "6a9930b8-ef28-5b33-a1c4-4d264b5a8a7e"
_ids = count(1)


def lane(component: str = "posthog") -> ReportLane:
    made = ReportLane()
    made.component = component
    return made


def run(user: str | None = None, *, error: str = "") -> RunRecord:
    return RunRecord(
        ts_ms=1_717_243_200_000.0,
        began_ms=1_717_243_199_990.0,
        request_id="r1",
        execution_id="e1",
        kind="mutation",
        path="shop:buy",
        error=error,
        report=Report(user_id=user),
    )


def entry(kind: str, value: Any, of: RunRecord | None = None, component: str = "") -> RunEntry:
    return RunEntry(
        kind=kind, id=f"entry {next(_ids)}", component=component, value=value, run=of or run()
    )


def exposure(
    person: str = "ada", flag: str = "beta", value: bool | str = True, mount: str = "posthog"
) -> RunEntry:
    made = Exposure(distinct_id=person, flag=flag, value=value)
    text = events.to_json(events.flag_called(made, now_ms=0.0, locally=True))
    return entry(reported.EXPOSURE, {"mount": mount, "slot": made.slot(), "event": text})


def exposed(*, failed: bool = False) -> RunEntry:
    slot = Exposure(distinct_id="ada", flag="beta", value=True).slot()
    value = {"mount": "posthog", "slot": slot, "event": None}
    return entry(reported.EXPOSED, value, run(error="failed" if failed else ""))


def by_hand(event: Mapping[str, Any] | None = None, **more: Any) -> RunEntry:
    made = events.exception(
        [{"type": "ValueError", "value": "bad"}],
        distinct_id=None,
        stamp=Stamp.of(ERROR, 0),
        properties={"order": 7},
    )
    value = {"mount": "posthog", "error": ERROR, "event": json.dumps(event or made), **more}
    of = run(more.pop("user", None)) if "user" in more else None
    value.pop("user", None)
    return entry(reported.EXCEPTION, value, of)


def uncaught(user: str | None = None, id: str = ERROR) -> RunEntry:
    error = ExceptionReport(id=id, type="ValueError", message="bad")
    return entry("exception", error, run(user, error="bad"))


def sent(lane: ReportLane, *entries: RunEntry, env: Mapping[str, str] = ENV) -> list[Any]:
    admitted = [each for each in entries if lane.admit(each)]
    request = lane.encode(admitted, env)
    if request is None:
        return []
    batch: list[Any] = json.loads(gzip.decompress(request.body))["batch"]
    return batch


class TestExposures:
    def test_the_same_is_sent_once(self) -> None:
        found = sent(lane(), exposure(), exposure(), exposure("eve"), exposure(value="b"))
        assert [(e["distinct_id"], e["properties"]["$feature_flag_response"]) for e in found] == [
            ("ada", True),
            ("eve", True),
            ("ada", "b"),
        ]
        assert {e["event"] for e in found} == {"$feature_flag_called"}

    def test_one_fired_by_hand_takes_the_slot(self) -> None:
        assert sent(lane(), exposed(), exposure()) == []

    def test_unless_its_transaction_failed(self) -> None:
        assert len(sent(lane(), exposed(failed=True), exposure())) == 1

    def test_a_second_attempt_carries_the_same(self) -> None:
        made, first, second = lane(), exposure(), exposure("eve")
        assert made.admit(first)
        assert made.admit(second)
        whole = made.encode([first, second], ENV)
        assert made.encode([first, second], ENV) == whole
        halves = [made.encode([each], ENV) for each in (first, second)]
        assert all(halves)

    def test_apps_with_two_projects_keep_them_apart(self) -> None:
        assert sent(lane(), exposure(mount="other")) == []
        assert len(sent(lane("other"), exposure(mount="other"))) == 1

    def test_what_somebody_else_reports_under_the_name_is_passed_over(self) -> None:
        junk = [entry(kind, value) for kind in lane().reads[1:] for value in (None, {}, {"a": 1})]
        assert sent(lane(), *junk) == []


class TestErrors:
    def test_reported_and_then_uncaught_is_one_event(self) -> None:
        (event,) = sent(lane(), by_hand(), uncaught())
        assert event["uuid"] == ERROR
        assert event["properties"]["order"] == 7

    def test_uncaught_alone_is_reported_too(self) -> None:
        (event,) = sent(lane(), uncaught("ada"), uncaught("ada"))
        assert event["uuid"] == ERROR
        assert event["distinct_id"] == "ada"
        assert event["timestamp"] == "2024-06-01T12:00:00.000Z"
        properties = event["properties"]
        assert properties["$exception_list"][0]["mechanism"]["handled"] is False
        assert properties["convex_function"] == "shop:buy"
        assert properties["convex_function_type"] == "mutation"
        assert properties["convex_request_id"] == "r1"
        assert "$process_person_profile" not in properties

    def test_without_a_known_caller_it_is_nobodys(self) -> None:
        (event,) = sent(lane(), uncaught())
        assert event["distinct_id"] == "r1"
        assert event["properties"]["$process_person_profile"] is False

    def test_a_query_that_looked_who_calls_reports_for_them(self) -> None:
        (event,) = sent(lane(), by_hand(for_caller=True, user="ada"))
        assert event["distinct_id"] == "ada"
        assert "$process_person_profile" not in event["properties"]
        (event,) = sent(lane(), by_hand(for_caller=True))
        assert event["distinct_id"] == "r1"
        (event,) = sent(lane(), by_hand(for_caller=False, user="ada"))
        assert event["distinct_id"] == "r1"

    def test_dropped_by_a_hook_counts_for_the_automatic_report(self) -> None:
        dropped = entry(reported.EXCEPTION, {"mount": "posthog", "error": ERROR, "event": None})
        assert sent(lane(), dropped, uncaught()) == []

    def test_automatic_reports_can_be_switched_off(self) -> None:
        off = {**ENV, "POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE": "true"}
        assert sent(lane(), uncaught(), env=off) == []
        assert len(sent(lane(), by_hand(), env=off)) == 1

    def test_the_hosts_description_becomes_posthogs(self) -> None:
        frames = (
            Frame("/app/convex/shop.py", "buy.<locals>.pay", 7, True, "shop", "raise", ("a",), ()),
            Frame("/v/site-packages/stripe/api.py", "charge", 3, False, "stripe.api"),
        )
        cause = ExceptionReport(id="c", type="KeyError", message="'k'", cause_named=False)
        member = ExceptionReport(id="m", type="Outer.Inner", message="m", module="shop")
        whole = ExceptionReport(
            id=ERROR,
            type="ExceptionGroup",
            message="many",
            frames=frames,
            cause=cause,
            members=(member,),
            notes=("a note",),
        )
        (event,) = sent(lane(), entry("exception", whole))
        first, second, third = event["properties"]["$exception_list"]
        assert first["value"] == "many\na note"
        assert first["mechanism"]["is_exception_group"] is True
        assert [m["mechanism"].get("source") for m in (first, second, third)] == [
            None,
            "context",
            "member",
        ]
        assert [m["mechanism"].get("parent_id") for m in (second, third)] == [0, 0]
        assert (third["type"], third["module"]) == ("Inner", "shop")
        app, library = first["stacktrace"]["frames"]
        assert app == {
            "platform": "python",
            "filename": "shop.py",
            "abs_path": "/app/convex/shop.py",
            "function": "pay",
            "module": "shop",
            "lineno": 7,
            "in_app": True,
            "pre_context": ["a"],
            "context_line": "raise",
            "post_context": [],
        }
        assert (library["filename"], library["in_app"]) == ("stripe/api.py", False)

    def test_an_error_on_purpose_counts_as_handled(self) -> None:
        error = ExceptionReport(id=ERROR, type="NotSignedIn", message="no", data=b'"no"')
        (event,) = sent(lane(), entry("exception", error))
        assert event["properties"]["$exception_list"][0]["mechanism"]["handled"] is True


def test_answers_are_those_of_a_batch() -> None:
    assert lane().classify(Response(200, {}, b'{"status":1}')) == Accepted()
    assert lane().needs == ("POSTHOG_PROJECT_TOKEN",)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30)), max_size=60), st.integers(1, 6))
def test_a_slot_has_one_holder_while_it_is_remembered(
    asked: list[tuple[int, int]], bound: int
) -> None:
    once = Once(bound)
    recent: dict[str, str] = {}
    for slot_number, by_number in asked:
        slot, by = str(slot_number), str(by_number)
        expected = recent.get(slot, by)
        assert once.take(slot, by=by) is (expected == by)
        recent.pop(slot, None)
        recent[slot] = expected
        while len(recent) > bound:
            del recent[next(iter(recent))]
        assert len(once) == len(recent)


def test_reports_of_a_nested_app_are_for_what_it_mounts() -> None:
    value = {"mount": "posthog", "slot": "s", "event": "{}"}
    made = lane("shop/posthog")
    assert made.admit(entry(reported.EXPOSURE, value, component="shop"))
    assert not made.admit(entry(reported.EXPOSURE, value, component="other"))


@pytest.mark.parametrize("off", ["1", "true", " Yes "])
def test_the_switch_reads_as_the_other_one(off: str) -> None:
    env = {**ENV, "POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE": off}
    assert sent(lane(), uncaught(), env=env) == []
