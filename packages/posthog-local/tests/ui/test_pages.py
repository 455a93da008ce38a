"""Every page: what it shows, that foreign HTML stays text, and that forms do what they say."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from posthog_local.testing import PostHogLocal

_XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Page:
    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.html = response.read().decode()

    @property
    def text(self) -> str:
        return html.unescape(re.sub(r"<[^>]*>", " ", self.html))


def ask(local: PostHogLocal, method: str, path: str, body: bytes | None = None) -> Page:
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=15)
    try:
        connection.request(method, path, body)
        return Page(connection.getresponse())
    finally:
        connection.close()


def get(local: PostHogLocal, path: str) -> Page:
    return ask(local, "GET", path)


def post(local: PostHogLocal, path: str, **fields: Any) -> Page:
    return ask(local, "POST", path, urlencode(fields, doseq=True).encode())


def send(local: PostHogLocal, **event: Any) -> None:
    body = json.dumps({"api_key": "phc_a", "event": "e", "distinct_id": "u", **event})
    assert ask(local, "POST", "/e/", body.encode()).status == 200


def test_the_root_leads_to_the_activity(local: PostHogLocal) -> None:
    page = get(local, "/")
    assert (page.status, page.headers["location"]) == (302, "/activity")


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("/project/phc_a/replay/0193?t=5", "/replay/0193?t=5"),
        ("/project/1/person/ada%40x", "/person/ada@x"),
        ("/project/1//other.example/", "/other.example/"),
        ("/project/1/%5Cother.example", "/other.example"),
    ],
)
def test_addresses_with_a_project_lead_here(local: PostHogLocal, path: str, leads: str) -> None:
    page = get(local, path)
    assert (page.status, page.headers["location"]) == (302, leads)


def test_activity_shows_the_newest_first(local: PostHogLocal) -> None:
    assert "Nothing has arrived yet" in get(local, "/activity").text
    send(local, event="first", properties={"plan": "pro"})
    send(local, event="second")
    text = get(local, "/activity").text
    assert text.index("second") < text.index("first")
    assert "plan" in text
    assert "first" not in get(local, "/activity?event=second").text


def test_a_person_s_page_has_one_timeline(local: PostHogLocal) -> None:
    send(local, event="in_the_browser", distinct_id="anon", properties={"$lib": "web"})
    send(local, event="$identify", distinct_id="a b/c@x.io",
         properties={"$anon_distinct_id": "anon", "$set": {"plan": "pro"}})  # fmt: skip
    send(local, event="in_the_backend", distinct_id="a b/c@x.io")
    local.set_flag("beta", variants={"purple": 100})
    for path in ("/person/anon", "/person/" + quote("a b/c@x.io", safe="")):
        text = get(local, path).text
        assert text.index("in_the_backend") < text.index("in_the_browser")
        assert "pro" in text
        assert "purple" in text
    listed = get(local, "/persons")
    assert "a b/c@x.io" in listed.text
    found = get(local, "/persons?search=anon")
    assert (found.status, found.headers["location"]) == (302, "/person/anon")
    assert "a b/c@x.io" in get(local, "/persons?search=X.IO").text
    assert "No person matches" in get(local, "/persons?search=nobody").text


def test_properties_of_a_person_that_are_null_stand_apart(local: PostHogLocal) -> None:
    send(local, event="a", distinct_id="u",
         properties={"$set": {"plan": "pro", "gclid": None, "utm": None}})  # fmt: skip
    text = get(local, "/person/u").text
    told = text[text.index("Properties") :]
    assert told.index("plan") < told.index("2 that are null") < told.index("gclid")


def test_an_unknown_person_has_an_empty_timeline(local: PostHogLocal) -> None:
    page = get(local, "/person/nobody")
    assert page.status == 200
    assert "Nobody known" in page.text


def test_a_flag_is_created_tried_changed_and_deleted_by_forms(local: PostHogLocal) -> None:
    fields: dict[str, Any] = {
        "key": "new-flag",
        "name": "A flag",
        "active": "on",
        "rollout": "100",
        "payload": "",
        "condition_key": ["plan", ""],
        "condition_operator": ["exact", "exact"],
        "condition_value": ['["pro"]', ""],
        "variant_key": ["a", "b", ""],
        "variant_share": ["25", "75", ""],
        "variant_payload": ['{"n":1}', "", ""],
    }
    saved = post(local, "/feature_flags/save", **fields)
    assert (saved.status, saved.headers["location"]) == (303, "/feature_flags/new-flag")
    flag = local.flags()[0]
    condition = flag["filters"]["groups"][0]
    assert condition["properties"] == [
        {"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}
    ]
    shares = [one["rollout_percentage"] for one in flag["filters"]["multivariate"]["variants"]]
    assert (shares, flag["filters"]["payloads"]) == ([25, 75], {"a": '{"n":1}'})
    page = get(local, "/feature_flags/new-flag?distinct_id=u")
    assert "No matching condition set" in page.text
    assert 'value="[&#34;pro&#34;]"' in page.html
    again = post(local, "/feature_flags/save", **{**fields, "rollout": "50"})
    assert again.status == 303
    assert local.flags()[0]["version"] == 2
    post(local, "/feature_flags/toggle", key="new-flag")
    assert local.flags()[0]["active"] is False
    post(local, "/feature_flags/delete", key="new-flag")
    assert local.flags() == []


def test_condition_sets_cohorts_and_forced_variants_by_the_form(local: PostHogLocal) -> None:
    cohort = {"name": "Pros", "kind": "AND", "condition_key": "plan",
              "condition_operator": "exact", "condition_value": "pro"}  # fmt: skip
    assert post(local, "/cohorts/save", **cohort).headers["location"] == "/cohorts/1"
    fields: dict[str, Any] = {
        "key": "sets",
        "active": "on",
        "variant_key": ["a", "b"],
        "variant_share": ["50", "50"],
        "variant_payload": ["", ""],
        "condition_set": ["0", "1", "1", "2"],
        "condition_key": ["", "email", "", ""],
        "condition_operator": ["exact"] * 4,
        "condition_value": ["", "ada@x.io", "", ""],
        "cohort": ["1", "", ""],
        "rollout": ["100", "30", ""],
        "condition_variant": ["b", "", ""],
    }
    assert post(local, "/feature_flags/save", **fields).status == 303
    first, second = local.flags()[0]["filters"]["groups"]
    assert first["properties"] == [{"key": "id", "type": "cohort", "operator": "in", "value": 1}]
    assert (first["variant"], second["variant"]) == ("b", None)
    assert (second["properties"][0]["key"], second["rollout_percentage"]) == ("email", 30)
    send(local, event="$set", properties={"$set": {"plan": "pro"}})
    page = get(local, "/feature_flags/sets?distinct_id=u")
    assert "Condition set 2" in page.text
    assert "Matched condition set 1" in page.text
    assert 'value="1" selected' in page.html


def test_a_flag_is_tried_on_groups(local: PostHogLocal) -> None:
    local.set_flag("big", definition={"filters": {
        "aggregation_group_type_index": 0,
        "groups": [{"properties": [{"key": "size", "type": "group", "operator": "gt", "value": 5,
                                    "group_type_index": 0}]}]}})  # fmt: skip
    send(local, event="$groupidentify", properties={
        "$group_type": "company", "$group_key": "acme", "$group_set": {"size": 7}})  # fmt: skip
    path = "/feature_flags/big?distinct_id=u&groups="
    assert "No group type" in get(local, path).text
    assert "Matched condition set 1" in get(local, path + quote('{"company": "acme"}')).text
    assert "Not evaluated" in get(local, path + "nonsense").text


def test_an_occurrence_leads_to_its_recording(local: PostHogLocal) -> None:
    exception = {"type": "ValueError", "value": "bad"}
    send(local, event="$exception",
         properties={"$session_id": "s1", "$exception_list": [exception]})  # fmt: skip
    path = "/error_tracking/" + local.issues()[0]["id"]
    assert "/replay/s1" not in get(local, path).html
    snapshot = {"event": "$snapshot", "properties": {
        "token": "phc_a", "distinct_id": "u", "$session_id": "s1",
        "$snapshot_data": [{"type": 4, "timestamp": 1, "data": {}}]}}  # fmt: skip
    assert ask(local, "POST", "/s/", json.dumps(snapshot).encode()).status == 200
    assert "/replay/s1" in get(local, path).html


def test_cohorts_by_forms(local: PostHogLocal) -> None:
    assert "No cohort yet" in get(local, "/cohorts").text
    listed = {"name": "Friends", "kind": "static", "distinct_ids": "u\n v \n\n"}
    assert post(local, "/cohorts/save", **listed).status == 303
    page = get(local, "/cohorts/1")
    assert "/person/v" in page.html
    nested = {
        "number": "1",
        "name": "Friends",
        "kind": "JSON",
        "definition": json.dumps(
            {
                "type": "OR",
                "values": [
                    {"type": "AND", "values": [{"key": "a", "value": 1}]},
                    {"type": "AND", "values": [{"key": "b", "value": 1}]},
                ],
            }
        ),
    }
    assert post(local, "/cohorts/save", **nested).headers["location"] == "/cohorts/1"
    assert "&#34;OR&#34;" in get(local, "/cohorts/1").html
    assert "Friends" in get(local, "/cohorts").text
    assert post(local, "/cohorts/delete", number="1").status == 303
    assert get(local, "/cohorts/1").status == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "AND", "name": ""},
        {"kind": "AND", "name": "x"},
        {"kind": "odd", "name": "x"},
        {"kind": "JSON", "name": "x", "definition": "{"},
        {"kind": "JSON", "name": "x", "definition": '{"type": "NOT", "values": []}'},
        {"kind": "AND", "name": "x", "condition_key": "a", "condition_operator": "like",
         "condition_value": ""},
    ],
)  # fmt: skip
def test_a_wrong_cohort_is_explained(local: PostHogLocal, fields: dict[str, str]) -> None:
    page = post(local, "/cohorts/save", **fields)
    assert page.status == 400
    assert "Not saved:" in page.text
    assert "No cohort yet" in get(local, "/cohorts").text


def test_charts_are_kept_under_a_name(local: PostHogLocal) -> None:
    send(local, event="seen")
    address = "/sql?" + urlencode({"q": "SELECT event, count() AS n FROM events GROUP BY event",
                                   "show": "bars"})  # fmt: skip
    drawn = get(local, address)
    assert "<rect" in drawn.html
    assert html.escape(address) in drawn.html
    assert post(local, "/saved/save", name="Events", address=address).status == 303
    assert "Events" in get(local, "/saved").text
    for fields in ({"name": "", "address": address}, {"name": "x", "address": "https://a/"},
                   {"name": "x", "address": "//a/sql"}):  # fmt: skip
        assert post(local, "/saved/save", **fields).status == 400
    post(local, "/saved/delete", id="1")
    assert "No chart yet" in get(local, "/saved").text


def test_a_flag_beyond_the_form_is_edited_as_json(local: PostHogLocal) -> None:
    flag = local.set_flag("deep", definition={"filters": {"groups": [{}], "early_exit": True}})
    page = get(local, "/feature_flags/deep")
    assert "edit it as JSON" in page.text
    assert "condition_key" not in page.html
    changed = {**flag, "name": "changed"}
    post(local, "/feature_flags/save", key="deep", definition=json.dumps(changed))
    assert local.flags()[0]["name"] == "changed"


@pytest.mark.parametrize(
    "fields",
    [
        {"key": ""},
        {"key": "f", "rollout": "120"},
        {"key": "f", "rollout": "nan"},
        {"key": "f", "rollout": "5", "payload": "{"},
        {"key": "f", "rollout": "5", "variant_key": "a", "variant_share": "5",
         "variant_payload": ""},
        {"key": "f", "rollout": "5", "condition_key": "p", "condition_operator": "like",
         "condition_value": ""},
        {"key": "f", "definition": "{"},
        {"key": "f", "definition": "[]"},
    ],
)  # fmt: skip
def test_a_wrong_form_is_explained_and_saves_nothing(
    local: PostHogLocal, fields: dict[str, str]
) -> None:
    page = post(local, "/feature_flags/save", **fields)
    assert page.status == 400
    assert "Not saved:" in page.text
    assert local.flags() == []


def test_an_issue_shows_the_source_around_its_frames(local: PostHogLocal) -> None:
    assert "No error yet" in get(local, "/error_tracking").text
    frame = {"platform": "python", "filename": "shop/orders.py", "function": "place_order",
             "lineno": 7, "in_app": True, "context_line": "raise ValueError(total)"}  # fmt: skip
    exception = {"type": "ValueError", "value": "bad", "stacktrace": {"frames": [frame]}}
    send(local, event="$exception", properties={"$exception_list": [exception]})
    assert "ValueError" in get(local, "/error_tracking").text
    issue_id = local.issues()[0]["id"]
    text = get(local, f"/error_tracking/{issue_id}").text
    assert "place_order" in text
    assert "raise ValueError(total)" in text
    assert f"/error_tracking/{issue_id}" in get(local, "/person/u").html
    answer = post(local, "/error_tracking/status", id=issue_id, status="resolved")
    assert answer.status == 303
    assert "ValueError" in get(local, "/error_tracking?status=resolved").text
    assert "ValueError" not in get(local, "/error_tracking?status=active").text
    assert post(local, "/error_tracking/status", id=issue_id, status="odd").status == 400
    assert get(local, "/error_tracking/gone").status == 404


def test_settings_say_what_to_copy(local: PostHogLocal) -> None:
    text = get(local, "/settings").text
    assert (
        f"pyconvex env set POSTHOG_HOST={local.url} POSTHOG_PROJECT_TOKEN={local.project_token} "
        f"POSTHOG_PERSONAL_API_KEY={local.personal_api_key}" in text
    )
    assert local.secret_key in text
    assert local.personal_api_key in text
    html = get(local, "/settings").html
    assert all(f'id="{name}"' in html for name in re.findall(r'data-copy="([^"]+)"', html))


def test_foreign_html_is_text_on_every_page(local: PostHogLocal) -> None:
    send(local, event=_XSS, distinct_id=_XSS,
         properties={_XSS: _XSS, "$lib": _XSS, "$set": {_XSS: _XSS, "email": _XSS}})  # fmt: skip
    send(local, event="$identify", distinct_id=_XSS, properties={"$anon_distinct_id": "null"})
    frame = {"platform": "python", "filename": _XSS, "function": _XSS, "context_line": _XSS,
             "pre_context": [_XSS], "post_context": [_XSS], "in_app": True,
             "code_variables": {_XSS: _XSS}}  # fmt: skip
    exception = {"type": _XSS, "value": _XSS, "stacktrace": {"frames": [frame]}}
    send(local, event="$exception", distinct_id=_XSS, properties={"$exception_list": [exception]})
    send(local, event="$ai_generation", distinct_id=_XSS, properties={
        "$ai_trace_id": _XSS, "$ai_model": _XSS, "$ai_span_name": _XSS, "$ai_input": _XSS,
        "$ai_is_error": True, "$ai_error": _XSS, "$ai_input_tokens": _XSS})  # fmt: skip
    local.set_flag(_XSS, definition={
        "name": _XSS, "filters": {"groups": [{"rollout_percentage": 100}],
        "payloads": {"true": _XSS}}})  # fmt: skip
    cohort = {"name": _XSS, "kind": "OR", "condition_key": _XSS, "condition_operator": "exact",
              "condition_value": _XSS}  # fmt: skip
    assert post(local, "/cohorts/save", **cohort).status == 303
    saved = post(local, "/saved/save", name=_XSS, address="/sql?q=" + quote(_XSS, safe=""))
    assert saved.status == 303
    log = {"body": {"stringValue": _XSS}, "attributes": [
        {"key": _XSS, "value": {"stringValue": _XSS}},
        {"key": "posthogDistinctId", "value": {"stringValue": _XSS}}]}  # fmt: skip
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}
    assert ask(local, "POST", "/v1/logs?token=phc_a", json.dumps(logs).encode()).status == 200
    pages = [
        "/logs?" + urlencode({"trace_id": _XSS}),
        "/logs",
        "/llm_analytics",
        "/llm_analytics/" + quote(_XSS, safe=""),
        "/error_tracking",
        "/error_tracking/" + local.issues()[0]["id"],
        "/activity",
        "/activity?" + urlencode({"event": _XSS}),
        "/persons",
        "/person/" + quote(_XSS, safe=""),
        "/feature_flags",
        "/feature_flags/" + quote(_XSS, safe="") + "?" + urlencode({"distinct_id": _XSS}),
        "/feature_flags/" + quote("gone" + _XSS, safe=""),
        "/warnings",
        "/warnings?" + urlencode({"kind": _XSS}),
        "/saved",
        "/insights?" + urlencode({"event": _XSS, "breakdown": _XSS}),
        "/funnels?" + urlencode({"step": [_XSS, _XSS]}, doseq=True),
        "/sql?" + urlencode({"q": f"SELECT '{_XSS.replace(chr(39), '')}' AS a, 5 AS b"}),
        "/sql?" + urlencode({"q": "SELECT event, 5 AS b FROM events", "show": "bars"}),
        "/sql?" + urlencode({"q": _XSS}),
        "/cohorts",
        "/cohorts/1",
        "/settings",
        "/replay",
        "/feature_flags/new",
    ]
    for path in pages:
        page = get(local, path)
        assert "<script>alert" not in page.html, path
        assert "<img" not in page.html, path
        # No attribute was left: every quote of the text is escaped.
        assert "onerror=alert(1)>" not in page.html, path
        assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "<script>alert(1)" in get(local, "/activity").text
    refused = post(local, "/feature_flags/save", key=_XSS, rollout=_XSS)
    assert refused.status == 400
    assert "<script>alert" not in refused.html


def test_logs_are_searched_by_text_and_severity(local: PostHogLocal) -> None:
    assert "No log line yet" in get(local, "/logs").text
    lines = [
        {"body": {"stringValue": "first line"}, "severityNumber": 17},
        {"body": {"stringValue": "second line"}, "severityNumber": 9},
    ]
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": lines}]}]}).encode()
    assert ask(local, "POST", "/v1/logs?token=phc_a", body).status == 200
    text = get(local, "/logs?search=FIRST&severity=error").text
    assert "first line" in text
    assert "second line" not in text
    assert "No log line matches" in get(local, "/logs?severity=fatal").text


def test_new_events_stream_as_escaped_rows(local: PostHogLocal) -> None:
    send(local, event="before")
    after = local.events()[-1]["seq"]
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.request("GET", f"/activity/stream?after={after}")
    response = connection.getresponse()
    assert response.getheader("content-type", "").startswith("text/event-stream")
    send(local, event=_XSS)
    rows = "".join(_message(response))
    assert "&lt;script&gt;" in rows
    assert "<script>" not in rows
    assert "before" not in rows
    connection.close()


def _message(response: HTTPResponse) -> Iterator[str]:
    """The data lines of the next event of the stream."""
    seen = False
    while True:
        line = response.readline().decode()
        if line.startswith("data: "):
            seen = True
            yield line[6:]
        elif seen and line == "\n":
            return


def test_assets_are_a_closed_list(local: PostHogLocal) -> None:
    for name in ("style.css", "live.js", "icon.svg"):
        assert get(local, f"/_assets/{name}").status == 200
    for name in ("..%2Fpages.py", "pages.py", "%2e%2e/__init__.py"):
        assert get(local, f"/_assets/{name}").status == 404
