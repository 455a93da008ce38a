"""Queries: fresh at every question, right after merges, resets and restarts, and within bounds."""

from __future__ import annotations

import html
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from posthog_local.query.analyst import _opened
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.warehouse import Warehouse
from posthog_local.testing import PostHogLocal, running

_XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def send(local: PostHogLocal, event: str, distinct_id: str = "u", **properties: Any) -> None:
    body = {"api_key": "phc_a", "event": event, "distinct_id": distinct_id,
            "properties": properties}  # fmt: skip
    urlopen(local.url + "/e/", json.dumps(body).encode()).close()


def query(local: PostHogLocal, text: str, **values: Any) -> Any:
    body = {"query": {"kind": "HogQLQuery", "query": text, "values": values}}
    return post(local, body)[1]


def post(local: PostHogLocal, body: object) -> tuple[int, Any]:
    request = Request(
        local.url + "/api/projects/@current/query/",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {local.personal_api_key}"},
    )
    try:
        with urlopen(request) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def rows(local: PostHogLocal, text: str, **values: Any) -> list[list[Any]]:
    return list(query(local, text, **values)["results"])


def test_an_answer_has_posthog_s_shape(local: PostHogLocal) -> None:
    for number in range(3):
        send(local, "paid", total=number + 0.5, plan="pro")
    answer = query(local, "select event, count(), sum(properties.total) from events group by event")
    assert answer["results"] == [["paid", 3, 4.5]]
    assert answer["columns"] == ["event", "count()", "sum(properties.total)"]
    assert [kind for _, kind in answer["types"]] == ["String", "Int64", "Float64"]
    assert (answer["hasMore"], answer["limit"], answer["error"]) == (False, 100, None)
    assert query(local, "select event from events limit 2")["hasMore"] is True
    assert rows(local, "select 1 from events where properties.plan = {plan} limit 1", plan="pro")
    [[at]] = rows(local, "select max(timestamp) from events")
    assert datetime.fromisoformat(at).tzinfo == UTC


def test_every_answer_is_fresh_through_merges_and_resets(local: PostHogLocal) -> None:
    count = "select count(), uniq(person_id) from events"
    for number in range(5):
        send(local, "seen", distinct_id=f"id{number}")
        assert rows(local, count) == [[number + 1, number + 1]]
    send(local, "$identify", "id1", **{"$anon_distinct_id": "id0", "$set": {"plan": "pro"}})
    assert rows(local, count) == [[6, 4]]
    pro = "select count() from events where person.properties.plan = 'pro'"
    assert rows(local, pro) == [[3]]
    send(local, "$set", "id1", **{"$set": {"plan": "free"}})
    assert rows(local, pro) == [[0]]
    assert rows(local, "select count() from persons") == [[4]]
    local.reset()
    assert rows(local, count) == [[0, 0]]
    assert rows(local, "select count() from persons") == [[0]]
    send(local, "after")
    assert rows(local, "select event, person_id from events") == [
        ["after", local.events()[0]["person_id"]]
    ]


def test_who_has_no_person_still_counts_as_one(local: PostHogLocal) -> None:
    for _ in range(2):
        send(local, "seen", "anon", **{"$process_person_profile": False})
    assert rows(local, "select uniq(person_id) from events") == [[1]]
    assert rows(local, "select person_id from events limit 1") == [[local.events()[0]["person_id"]]]


def test_the_copy_survives_a_crash_and_a_damaged_file(tmp_path: Path) -> None:
    with running(data=tmp_path) as local:
        send(local, "one")
        assert rows(local, "select count() from events") == [[1]]
        local.kill()
        local.restart()
        send(local, "two")
        assert rows(local, "select count() from events") == [[2]]
        local.kill()
        (tmp_path / "posthog.duckdb").write_bytes(b"no database")
        local.restart()
        assert rows(local, "select count() from events") == [[2]]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "the body must be"),
        ([], "the body must be"),
        ({"query": {"kind": "CalendarHeatmapQuery"}}, "CalendarHeatmapQuery"),
        ({"query": {"kind": "HogQLQuery", "query": "select ("}}, "no query that we understand"),
        ({"query": {"kind": "HogQLQuery", "query": "select gone from events"}}, "gone"),
        ({"query": {"kind": "HogQLQuery", "query": "select event = 5 from events"}}, "onver"),
    ],
)
def test_what_cannot_be_answered_is_400(local: PostHogLocal, body: object, said: str) -> None:
    send(local, "seen")
    status, answer = post(local, body)
    assert status == 400
    assert said in answer["detail"]


def test_without_the_extra_the_answer_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(QueryRefused, match=r"pip install 'posthog-local\[sql\]'"):
        Warehouse(tmp_path)
    monkeypatch.undo()
    # Whoever syncs tables has the first library, and not the other one.
    monkeypatch.setitem(sys.modules, "posthog_local.query.dialect", None)
    with pytest.raises(QueryRefused, match=r"pip install 'posthog-local\[sql\]'"):
        _opened(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def page(local: PostHogLocal, path: str, **fields: str) -> str:
    with urlopen(local.url + path + "?" + urlencode(fields)) as response:
        return str(response.read().decode())


def test_the_console_shows_rows_and_errors_as_text(local: PostHogLocal) -> None:
    assert "events, persons" not in page(local, "/sql")
    send(local, _XSS, text=_XSS)
    shown = page(local, "/sql", q="select event, properties.text as a from events")
    failed = page(local, "/sql", q=f"select `{_XSS}` from events")
    assert "1 row" in shown
    assert "Not answered" in failed
    trends = page(local, "/insights", event=_XSS, breakdown="text")
    for text in (shown, failed, trends):
        assert "<script>alert" not in text
        assert "<img" not in text
        assert _XSS in html.unescape(text)


def test_trends_count_by_day_and_property(local: PostHogLocal) -> None:
    assert "Nothing happened" in page(local, "/insights")
    for plan in ("pro", "pro", "free"):
        send(local, "paid", distinct_id=plan, plan=plan)
    send(local, "other")
    text = page(local, "/insights", event="paid", breakdown="plan", days="7")
    cells = re.findall(r"</svg> (\w+)</td>\s*<td>(\d+)</td>\s*<td>(\d+)</td>", text)
    assert cells == [("pro", "2", "2"), ("free", "1", "1")]
    assert text.count("<polyline") == 2
    persons = page(local, "/insights", math="persons", interval="hour", days="1")
    assert re.findall(r"</svg> [\w ,]+</td>\s*<td>(\d+)</td>", persons) == ["3"]


def test_groups_are_a_table(local: PostHogLocal) -> None:
    for key, seats in (("acme", 3), ("globex", 20), ("acme", 5)):
        send(local, "$groupidentify", **{"$group_type": "company", "$group_key": key,
                                         "$group_set": {"seats": seats}})  # fmt: skip
    listed = "select index, key, properties.seats from groups order by key"
    assert rows(local, listed) == [[0, "acme", "5"], [0, "globex", "20"]]
    send(local, "order", **{"$groups": {"company": "acme"}})
    joined = (
        "select g.properties.seats, count() from events e join groups g"
        " on g.key = e.$group_0 and g.index = 0 where e.event = 'order' group by 1"
    )
    assert rows(local, joined) == [["5", 1]]
    send(local, "$groupidentify", **{"$group_type": "company", "$group_key": "acme",
                                     "$group_set": {"seats": 6}})  # fmt: skip
    assert rows(local, "select sum(properties.seats) from groups") == [[26.0]]
    local.reset()
    assert rows(local, "select count() from groups") == [[0]]


def test_sessions_groups_and_logs_are_tables_too(local: PostHogLocal) -> None:
    for number, name in enumerate(("$pageview", "$autocapture", "$pageview")):
        send(local, name, **{"$session_id": "s1", "$current_url": f"http://shop/{number}",
                             "$groups": {"company": "acme"}})  # fmt: skip
    found = rows(
        local, "select session_id, $pageview_count, $entry_current_url, $exit_current_url"
        " from sessions")  # fmt: skip
    assert found == [["s1", 2, "http://shop/0", "http://shop/2"]]
    by_group = "select $group_0, count() from events where $group_0 != '' group by $group_0"
    assert rows(local, by_group) == [["acme", 3]]
    with_person = "select $group_0 from events where person.properties.x is null limit 1"
    assert rows(local, with_person) == [["acme"]]
    for number, text in enumerate(("opened", "no stock")):
        attribute = {"key": "order", "value": {"intValue": str(number)}}
        line = {"body": {"stringValue": text}, "severityNumber": 9 + 8 * number,
                "attributes": [attribute]}  # fmt: skip
        body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [line]}]}]}
        urlopen(local.url + "/v1/logs?token=phc_a", json.dumps(body).encode()).close()
        assert rows(local, "select count() from logs") == [[number + 1]]
    errors = "select body, attributes.order from logs where severity_text = 'error'"
    assert rows(local, errors) == [["no stock", "1"]]
    local.reset()
    assert rows(local, "select count() from logs") == [[0]]
    assert rows(local, "select count() from sessions") == [[0]]
