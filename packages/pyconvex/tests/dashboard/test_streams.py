"""The pages of log streams, over HTTP: forms from descriptions, states, secrets, deleting."""

from __future__ import annotations

import re

import pytest
from pretended_streams import TOKEN, PretendedStreams
from visiting import Visitor

from pyconvex.runtime.calls import HostError

NEW = "/dashboard/log_streams/new"


@pytest.fixture
def streams() -> PretendedStreams:
    return PretendedStreams()


@pytest.fixture
def visitor(streams: PretendedStreams) -> Visitor:
    visitor = Visitor(log_streams=streams)
    visitor.sign_in()
    return visitor


def add_webhook(visitor: Visitor) -> str:
    fields = {"url": "https://x.example/in", "format": "jsonl", "all_topics": "on"}
    answer = visitor.send(f"{NEW}/webhook", **fields)
    assert answer.status_code == 303, answer.text
    path: str = answer.headers["location"].partition("?")[0]
    return path


def value_of(page: str, name: str) -> str:
    found = re.search(rf'<input id="field-{name}" name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]


def test_without_log_streams_there_are_no_pages() -> None:
    visitor = Visitor()
    visitor.sign_in()
    assert visitor.get("/dashboard/log_streams").status_code == 404
    assert "log_streams" not in visitor.get("/dashboard/logs").text


def test_kinds_that_are_not_there_yet_can_be_added(visitor: Visitor) -> None:
    page = visitor.get("/dashboard/log_streams").text
    assert f'href="{NEW}/webhook"' in page
    assert "Hedgehog &amp; Co" in page
    add_webhook(visitor)
    assert f'href="{NEW}/webhook"' not in visitor.get("/dashboard/log_streams").text
    assert visitor.get(f"{NEW}/nothing").status_code == 404


def test_a_form_begins_with_defaults_and_variables_but_no_secret(visitor: Visitor) -> None:
    page = visitor.get(f"{NEW}/hedgehog").text
    assert value_of(page, "host") == "https://hedge.example"
    assert "From HEDGEHOG_HOST." in page
    assert value_of(page, "rate") == "1"
    assert 'name="loud" checked' in page
    assert value_of(page, "apiKey") == ""
    assert "Left empty, it is the value of HEDGEHOG_TOKEN." in page
    assert 'placeholder="••••••••••••nary"' in page
    assert TOKEN not in page
    assert "Topics" not in page
    assert re.search(r"<option selected>jsonl</option>", visitor.get(f"{NEW}/webhook").text)


def test_a_stream_is_made_of_what_was_sent(visitor: Visitor, streams: PretendedStreams) -> None:
    visitor.send(f"{NEW}/hedgehog", apiKey="", host="", rate="0.5")
    visitor.send(f"{NEW}/webhook", url=" https://x.example ", format="json", topics=["console"])
    assert streams.bodies == [
        {"logStreamType": "hedgehog", "apiKey": TOKEN, "host": None, "rate": 0.5, "loud": False},
        {"logStreamType": "webhook", "url": "https://x.example", "format": "json",
         "topics": ["console"]},
    ]  # fmt: skip


def test_what_is_wrong_is_said_at_its_field(visitor: Visitor, streams: PretendedStreams) -> None:
    page = visitor.send(f"{NEW}/webhook", url="nowhere", format="xml")
    assert page.status_code == 400
    assert re.search(r'id="problem-url">Must be a valid URL<', page.text)
    assert re.search(r'id="problem-topics" role="alert">Select at least one topic.<', page.text)
    assert "Choose one of them" in page.text
    assert value_of(page.text, "url") == "nowhere"
    assert 'aria-invalid="true"' in page.text
    assert "URL is required" in visitor.send(f"{NEW}/webhook", format="json").text
    for wrong in ("x", "nan", "inf", "1e999"):
        assert "Must be a number" in visitor.send(f"{NEW}/hedgehog", rate=wrong).text
    assert streams.bodies == []


def test_a_secret_that_no_variable_holds_is_required(
    visitor: Visitor, streams: PretendedStreams
) -> None:
    token = {**streams.kinds[1]["fields"][0], "prefill": None}
    streams.kinds = [{**streams.kinds[1], "fields": [token]}]
    assert "A token is required" in visitor.send(f"{NEW}/hedgehog").text
    page = visitor.send(f"{NEW}/hedgehog", apiKey="typed-canary", loud="on")
    assert page.status_code == 303
    assert streams.bodies == [{"logStreamType": "hedgehog", "apiKey": "typed-canary"}]


@pytest.mark.parametrize(
    ("code", "message", "field"),
    [
        ("InvalidToken", "No such project.", "apiKey"),
        ("BadJsonBody", "rate: must be below 1.", "rate"),
        ("LogSinkQuotaExceeded", "A deployment has at most 5.", None),
        ("BadJsonBody", "Something else.", None),
    ],
)
def test_what_the_deployment_refuses_is_said_where_it_belongs(
    visitor: Visitor, streams: PretendedStreams, code: str, message: str, field: str | None
) -> None:
    streams.refuse = HostError(400, code, message)
    page = visitor.send(f"{NEW}/hedgehog", apiKey="typed-canary", rate="3", loud="on")
    assert page.status_code == 400
    said = message.removeprefix("rate: ")
    if field is None:
        assert f'role="alert">{said}<' in page.text
    else:
        assert f'id="problem-{field}">{said}<' in page.text
    assert "typed-canary" not in page.text
    assert value_of(page.text, "rate") == "3"


def test_the_secret_of_a_webhook_is_shown_and_can_be_made_anew(
    visitor: Visitor, streams: PretendedStreams
) -> None:
    path = add_webhook(visitor)
    assert "secret-1" in visitor.get(f"{path}?made=1").text
    asked = visitor.get(f"{path}/rotate")
    assert (asked.status_code, streams.secrets) == (200, 1)
    answer = visitor.send(f"{path}/rotate")
    assert answer.headers["location"] == f"{path}?made=1"
    page = visitor.get(path).text
    assert "secret-2" in page
    assert "secret-1" not in page


def test_settings_are_changed_and_a_secret_left_empty_stays(
    visitor: Visitor, streams: PretendedStreams
) -> None:
    answer = visitor.send(f"{NEW}/hedgehog", apiKey="first", rate="1")
    path = answer.headers["location"].partition("?")[0]
    page = visitor.get(path).text
    assert "Left empty, it stays as it is." in page
    changed = visitor.send(path, apiKey="", host="https://y.example", rate="2", loud="on")
    assert changed.headers["location"] == f"{path}?saved=1"
    body = {"host": "https://y.example", "rate": 2, "loud": True}
    assert streams.bodies[1] == {"logStreamType": "hedgehog", **body}
    visitor.send(path, apiKey="second", rate="")
    assert (streams.bodies[2]["apiKey"], streams.bodies[2]["rate"]) == ("second", None)
    wrong = visitor.send(path, rate="x")
    assert (wrong.status_code, "Must be a number" in wrong.text) == (400, True)


def test_topics_are_shown_as_they_are_and_changed(
    visitor: Visitor, streams: PretendedStreams
) -> None:
    path = add_webhook(visitor)
    assert "data-all checked" in visitor.get(path).text
    visitor.send(path, url="https://x.example", format="json", topics=["custom_audit", "nonsense"])
    assert streams.bodies[-1]["topics"] == ["custom_audit"]
    page = visitor.get(path).text
    assert "data-all checked" not in page
    assert 'value="custom_audit" checked' in page
    assert 'value="console" checked' not in page


def test_a_test_says_what_the_receiver_answered(
    visitor: Visitor, streams: PretendedStreams
) -> None:
    path = add_webhook(visitor)
    assert "The receiver takes events." in visitor.send(f"{path}/test").text
    streams.verdict = {"ok": False, "reason": "It said <no>."}
    page = visitor.send(f"{path}/test").text
    assert "The receiver does not take events: It said &lt;no&gt;." in page
    assert len(streams.tested) == 2


def test_deleting_asks_first(visitor: Visitor, streams: PretendedStreams) -> None:
    path = add_webhook(visitor)
    asked = visitor.get(f"{path}/delete")
    assert (asked.status_code, len(streams.streams)) == (200, 1)
    answer = visitor.send(f"{path}/delete")
    assert (answer.status_code, streams.streams) == (303, {})
    assert "was deleted" in visitor.get(answer.headers["location"]).text
    for method, way in (("GET", path), ("POST", f"{path}/delete"), ("POST", f"{path}/test")):
        gone = visitor.get(way) if method == "GET" else visitor.send(way)
        assert gone.status_code == 404


def test_a_stream_that_failed_says_what_becomes_of_events(
    visitor: Visitor, streams: PretendedStreams
) -> None:
    path = add_webhook(visitor)
    [stream] = streams.streams.values()
    stream["status"] = {"type": "failed", "reason": "401"}
    stream["delivery"] = {"state": "stopped", "dropped": 1234}
    page = visitor.get(path).text
    assert "keeps its place in the log" in page
    assert "1,234 events were dropped" in page
    assert "<dt>waiting</dt>" not in page


def test_the_state_is_told_and_escaped(visitor: Visitor, streams: PretendedStreams) -> None:
    path = add_webhook(visitor)
    [stream] = streams.streams.values()
    stream["status"] = {"type": "failed", "reason": "<b>401</b>"}
    stream["delivery"] = {
        "state": "waiting", "circuit": "open", "waiting": 12, "moreWaiting": True,
        "lagSeconds": 5400.0, "sent": 1234, "sentBytes": 5, "failedAttempts": 7, "setAside": 1,
        "dropped": 3, "lastError": "<i>refused</i>",
    }  # fmt: skip
    for where in ("/dashboard/log_streams", "/dashboard/log_streams/state", path):
        page = visitor.get(where).text
        for text in (
            *(
                "badge failed",
                "&lt;b&gt;401&lt;/b&gt;",
                "1.5 h",
                "12 or more",
                "1,234",
                "&lt;i&gt;refused",
            ),
            *('<dd class="bad">3</dd>', '<dd class="bad">1</dd>', "Last error"),
        ):
            assert text in page, (where, text)


def test_a_stream_of_the_command_line_is_shown_and_can_not_be_changed(visitor: Visitor) -> None:
    page = visitor.get("/dashboard/log_streams").text
    assert "asked for on the command line" in page
    assert 'href="/dashboard/log_streams/terminal"' not in page
    assert visitor.get("/dashboard/log_streams/terminal").status_code == 404


def test_a_stream_whose_kind_is_not_installed_can_be_deleted(
    visitor: Visitor, streams: PretendedStreams
) -> None:
    path = add_webhook(visitor)
    streams.kinds = []
    page = visitor.get(path)
    assert page.status_code == 200
    assert "is not installed here" in page.text
    assert visitor.send(path, url="x").status_code == 400
    assert visitor.send(f"{path}/delete").status_code == 303
