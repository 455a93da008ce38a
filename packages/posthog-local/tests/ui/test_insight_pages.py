"""Trends, funnels, retention and experiments as pages: what is asked stands in the address."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from posthog_local.testing import PostHogLocal

_XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def send(local: PostHogLocal, *events: dict[str, Any]) -> None:
    body = json.dumps({"api_key": "phc_a", "batch": list(events)}).encode()
    urlopen(local.url + "/batch/", body).close()


def event(name: str, who: str, days: float = 0.0, **properties: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    return {"event": name, "distinct_id": who, "timestamp": at, "properties": properties}


def page(local: PostHogLocal, path: str, *fields: tuple[str, str]) -> str:
    with urlopen(f"{local.url}{path}?{urlencode(fields)}") as response:
        return str(response.read().decode())


def cells(text: str) -> list[list[str]]:
    """The rows of a page's first table, as they are read."""
    table = text.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [
        [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", cell)).split()) for cell in
         re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)]
        for row in rows
    ]  # fmt: skip


@pytest.fixture
def shop(local: PostHogLocal) -> PostHogLocal:
    send(
        local,
        event("paid", "ada", plan="pro", total=10, **{"$set": {"city": "Bonn"}}),
        event("paid", "ada", plan="pro", total=30),
        event("paid", "bob", plan="free", total=5),
        event("seen", "bob"),
        event("paid", "eve", 40, plan="free", total=100),
    )
    return local


def test_several_series_filtered_and_summed(shop: PostHogLocal) -> None:
    series = [("event", "paid"), ("math", "sum"), ("of", "total"),
              ("event", "seen"), ("math", "persons"), ("of", ""),
              ("event", ""), ("math", "total"), ("of", "")]  # fmt: skip
    text = page(shop, "/insights", *series)
    assert cells(text) == [
        ["paid, sum of total", "45", "45"], ["seen, persons", "1", "1"]]  # fmt: skip
    pro = [("where", "plan"), ("is", "exact"), ("value", "pro"), ("where", ""), ("is", "exact"),
           ("value", "")]  # fmt: skip
    assert cells(page(shop, "/insights", *series, *pro)) == [["paid, sum of total", "40", "40"]]
    bonn = [("where", "person.city"), ("is", "is_not"), ("value", "Bonn")]
    assert cells(page(shop, "/insights", *bonn)) == [["every event", "2", "2"]]


def test_the_time_before_and_chosen_days(shop: PostHogLocal) -> None:
    text = page(shop, "/insights", ("event", "paid"), ("compare", "on"))
    assert cells(text) == [["paid", "3", "1", "+200.0 %", "3"]]
    assert text.count("earlier") == 1
    past = (datetime.now(UTC) - timedelta(days=40)).date().isoformat()
    chosen = [("from", past), ("to", past), ("event", "paid")]
    assert cells(page(shop, "/insights", *chosen)) == [["paid", "1", "1"]]
    assert f'value="{past}"' in page(shop, "/insights", *chosen)


def test_a_breakdown_by_a_property_of_persons(shop: PostHogLocal) -> None:
    text = page(shop, "/insights", ("event", "paid"), ("breakdown", "person.city"))
    assert cells(text) == [["Bonn", "2", "2"], ["(none)", "1", "1"]]
    assert "person.city" in text


def test_a_cohort_s_persons(shop: PostHogLocal) -> None:
    fields = {"name": "Bonn", "kind": "AND", "condition_key": "city",
              "condition_operator": "exact", "condition_value": "Bonn"}  # fmt: skip
    urlopen(shop.url + "/cohorts/save", urlencode(fields).encode()).close()
    text = page(shop, "/insights", ("cohort", "1"), ("event", "paid"))
    assert cells(text) == [["paid", "2", "2"]]
    assert '<option value="1" selected>Bonn' in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("math", "avg")], "avg needs the property"),
        ([("where", "n"), ("is", "gt"), ("value", "much")], "takes a number"),
        ([("where", "n"), ("is", "near"), ("value", "1")], "no operator 'near'"),
        ([("where", "n"), ("is", "regex"), ("value", "(")], "Not answered"),
        ([("from", "yesterday")], "is no day"),
        ([("from", "2026-01-02"), ("to", "2026-01-01")], "before it begins"),
        ([("days", "365"), ("interval", "hour")], "choose longer intervals"),
        ([("to", "9999-12-31")], "is no day"),
        ([("from", "0001-01-01")], "is no day"),
        ([("cohort", "7")], "cohort 7 is not there"),
        ([("cohort", "x")], "no cohort"),
    ],
)
def test_what_cannot_be_answered_is_said(
    local: PostHogLocal, fields: list[tuple[str, str]], said: str
) -> None:
    send(local, event("e", "u", n="1"))
    assert said in html.unescape(page(local, "/insights", *fields))


def test_a_funnel_names_who_came_and_who_did_not(shop: PostHogLocal) -> None:
    send(shop, event("seen", "cid"), event("seen", "dan", 0.01), event("paid", "dan", 0.005))
    steps = [("step", "seen"), ("step", "paid"), ("step", "")]
    text = page(shop, "/funnels", *steps)
    assert [row[1] for row in cells(text)] == ["3", "1"]
    links = [html.unescape(one) for one in re.findall(r'href="(/funnels/persons[^"]+)"', text)]
    came, did_not = next(one for one in links if "at=2" in one and "gone" not in one), links[-1]
    assert [row[0] for row in cells(page_at(shop, came))] == ["dan"]
    assert sorted(row[0] for row in cells(page_at(shop, did_not))) == ["bob", "cid"]
    with pytest.raises(HTTPError, match="404") as missing:
        page(shop, "/funnels/persons", *steps, ("at", "9"))
    missing.value.close()
    odd = page(shop, "/funnels/persons", *steps, ("at", "1"), ("cohort", "x"))
    assert "no cohort" in odd
    split = page(shop, "/funnels", *steps, ("breakdown", "plan"))
    assert "plan: (none)" in html.unescape(split)


def page_at(local: PostHogLocal, address: str) -> str:
    with urlopen(local.url + address) as response:
        return str(response.read().decode())


def test_retention(local: PostHogLocal) -> None:
    assert "Nobody did this" in page(local, "/retention")
    send(local, event("today", "a"))
    today = page(local, "/retention", ("event", "today"))
    assert "Nobody can have come back yet" in today
    assert '<svg class="chart"' not in today
    send(
        local,
        *(event("join", "a", 2), event("use", "a", 1), event("join", "b", 2)),
        *(event("use", "a"), event("join", "a")),
    )
    text = page(local, "/retention", ("event", "join"), ("back", "use"), ("rows", "4"))
    rows = cells(text)
    assert rows[0][:3] == ["All", "3", "50.0 %"]
    assert [row[1] for row in rows[1:]] == ["0", "2", "0", "1"]
    assert rows[2][2:4] == ["50.0 %", "50.0 %"]
    assert 'class="heat-5"' in text
    first = page(local, "/retention", ("event", "join"), ("kind", "first"), ("rows", "4"))
    assert [row[1] for row in cells(first)[1:]] == ["0", "2", "0", "0"]


def test_paths(local: PostHogLocal) -> None:
    assert "Nothing happened" in page(local, "/paths")
    send(local, event("seen", "a", 0.003), event("paid", "a", 0.002), event("seen", "b"))
    text = page(local, "/paths", ("event", "seen"))
    assert "2 · 100.0 %" in text
    assert "1 · 50.0 %" in text
    assert "nothing more: 1" in text
    [link] = [html.unescape(one) for one in re.findall(r'href="(/paths[?][^"]+)"', text)
              if "paid" in one]  # fmt: skip
    assert "1 · 100.0 %" in page_at(local, link)
    led = page(local, "/paths", ("event", "paid"), ("way", "before"))
    assert "Step 2 back" in led


def test_experiments(local: PostHogLocal) -> None:
    assert "Name a feature flag" in page(local, "/experiments")
    local.set_flag("beta", variants={"control": 50, "test": 50})
    assert 'href="/experiments?flag=beta"' in page(local, "/feature_flags/beta")
    asked = [("flag", "beta"), ("goal", "paid")]
    assert "Nobody was shown this flag" in page(local, "/experiments", *asked)

    def shown(who: str, variant: str) -> dict[str, Any]:
        called = {"$feature_flag": "beta", "$feature_flag_response": variant}
        return event("$feature_flag_called", who, 0.01, **called)

    events = [shown(f"c{n}", "control") for n in range(40)]
    events += [shown(f"t{n}", "test") for n in range(40)]
    events += [shown("both", "control"), shown("both", "test")]
    events += [event("paid", f"c{n}") for n in range(8)] + [
        event("paid", f"t{n}") for n in range(24)
    ]
    send(local, *events)
    text = page(local, "/experiments", *asked)
    control, test = cells(text)
    assert control == ["control", "40", "50.0 %", "8", "20.0 %", "compared with this", ""]
    assert test[:5] == ["test", "40", "50.0 %", "24", "60.0 %"]
    assert test[5].startswith("+40.0 points (+18.")
    assert test[6] == "below 0.001 significant"
    assert "1 person was shown more than one variant" in html.unescape(text)


def test_questions_are_kept_and_shown_again(shop: PostHogLocal) -> None:
    for path in ("/insights", "/funnels", "/retention", "/paths", "/experiments"):
        fields = urlencode({"name": path, "address": f"{path}?where=plan&is=exact&value=pro"})
        urlopen(shop.url + "/saved/save", fields.encode()).close()
    listed = page(shop, "/saved")
    for kind in ("trend", "funnel", "retention", "paths", "experiment"):
        assert f"<td>{kind}</td>" in listed


def test_names_and_values_stay_text(local: PostHogLocal) -> None:
    send(local, event(_XSS, _XSS, **{_XSS: _XSS}))
    filtered = [("where", _XSS), ("is", "exact"), ("value", _XSS)]
    for path, fields in (
        ("/insights", [("event", _XSS), ("breakdown", _XSS), *filtered]),
        ("/funnels", [("step", _XSS), ("step", _XSS), *filtered]),
        ("/funnels/persons", [("step", _XSS), ("step", _XSS), ("at", "1")]),
        ("/retention", [("event", _XSS), *filtered]),
        ("/paths", [("event", _XSS), *filtered]),
        ("/experiments", [("flag", _XSS), ("goal", _XSS)]),
    ):
        text = page(local, path, *fields)
        assert "<script>alert" not in text
        assert "<img" not in text
        assert _XSS in html.unescape(text)
