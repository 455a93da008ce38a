"""One visit in a real browser, and everything that it left on the one person's timeline."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from demo.steps import (
    ask_support,
    be_declined,
    be_recorded,
    browse,
    buy,
    edit_the_flag,
    sign_up,
    upgrade,
)
from demo.timeline import BY_ITSELF, Expected, name_of, wait_for
from demo.visit import Visit
from demo.visitors.browser import BrowserVisitor
from opened_shop import Opened
from playwright.sync_api import Browser

from posthog_local.testing import PostHogLocal

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Visited:
    """What was seen during the visit, and what had arrived at its end."""

    local: PostHogLocal
    anonymous: str
    person: str
    #: The price on the open shelf before and after the flag was edited.
    prices: tuple[int, int]
    #: How many pages the tab has loaded from the server.
    loads: int
    timeline: list[dict[str, Any]]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [entry for entry in self.timeline if name_of(entry) == name]


@pytest.fixture(scope="module")
def visited(opened: Opened, browser: Browser) -> Visited:
    visitor = BrowserVisitor(browser, opened.url, opened.receiver.token)
    visit = Visit(opened.host, opened.receiver, visitor)
    loads: list[str] = []
    visitor.page.on("load", lambda page: loads.append(page.url))
    prices: list[int] = []

    def go(step: Any) -> None:
        visit.step += 1
        step.run(visit)
        wait_for(visit.local, visit.person, visit.expected, PATIENCE_S)

    go(browse)
    anonymous = visit.person
    for step in (sign_up, upgrade, buy, ask_support, be_declined):
        go(step)
    prices.append(shown_price(visitor))
    go(edit_the_flag)
    prices.append(shown_price(visitor))
    go(be_recorded)
    expected = [*visit.expected, Expected("replay", step=0)]
    timeline = wait_for(visit.local, visit.person, expected, PATIENCE_S)
    before, after = prices
    return Visited(
        visit.local,
        anonymous,
        visit.person,
        (before, after),
        len(loads),
        [dict(entry) for entry in timeline],
    )


def shown_price(visitor: BrowserVisitor) -> int:
    if not visitor.page.locator(".shelf").is_visible():
        visitor.page.get_by_role("navigation").get_by_role("link", name="Shelf").click()
    shown = visitor.page.locator(".shelf [data-price]").first
    return int(shown.get_attribute("data-price") or "")


def test_everything_is_there_in_order_and_nothing_twice(visited: Visited) -> None:
    # $identify and signed_up are the browser's and a mutation's word for one moment; exposures come
    # when a query runs; the recording stands where it began; spans belong to their trace.
    free = {"$identify", "signed_up", "$feature_flag_called", "replay", "console", "$ai_span"}
    free |= BY_ITSELF
    shelf, product, cart = "/", "/product", "/cart"
    seen = [(name_of(one), page_of(one)) for one in visited.timeline if name_of(one) not in free]
    # One list a step. PostHog corrects a browser's clock by how long its request was under way, so
    # within a step a page and an event of a function may change places.
    steps = [
        [("$pageview", shelf), ("$pageview", product)],
        [("$pageview", "/sign-in"), ("$pageview", shelf)],
        [("$pageview", "/account"), ("plan_changed", "")],
        [
            *[("$pageview", shelf), ("$pageview", product), ("added_to_cart", "")],
            *[("$pageview", cart), ("log", ""), ("order_placed", "")],
        ],
        [("$pageview", "/help"), ("$ai_trace", ""), *2 * [("$ai_generation", "")]],
        [
            *[("$pageview", shelf), ("$pageview", product), ("added_to_cart", "")],
            *[("$pageview", cart), ("log", ""), ("$exception", "")],
        ],
        [("$pageview", shelf)],
    ]
    left = list(seen)
    for step in steps:
        now, left = left[: len(step)], left[len(step) :]
        assert Counter(now) == Counter(step), seen
        for browser in (True, False):  # each keeps its own order, but for equal milliseconds
            ours = [one for one in now if (one[0] == "$pageview") is browser and one[0] != "log"]
            assert ours == [one for one in step if one in ours], seen
    assert left == []
    uuids = Counter(entry["uuid"] for entry in visited.timeline if entry.get("uuid"))
    assert [uuid for uuid, times in uuids.items() if times > 1] == []


def page_of(entry: dict[str, Any]) -> str:
    if name_of(entry) != "$pageview":
        return ""
    path = urlsplit(entry["properties"]["$current_url"]).path
    return "/product" if path.startswith("/product/") else path


def test_there_is_one_person_and_nothing_was_lost(visited: Visited) -> None:
    person = visited.local.person(visited.person)
    assert person is not None
    assert set(person["distinct_ids"]) == {visited.anonymous, visited.person}
    assert person["is_identified"]
    known = {name: person["properties"].get(name) for name in ("name", "plan")}
    assert known == {"name": "Ada", "plan": "club"}
    assert person["properties"]["email"].startswith("ada-")
    persons = visited.local.request("GET", "/_local/persons")["persons"]
    assert [one["id"] for one in persons] == [person["id"]]
    assert visited.local.warnings() == []


def test_pages_before_signing_up_are_hers(visited: Visited) -> None:
    assert visited.anonymous != visited.person
    first, second, *_ = visited.named("$pageview")
    assert {first["distinct_id"], second["distinct_id"]} == {visited.anonymous}
    [browser, backend] = visited.named("$identify")
    assert browser["source"] == "web"
    assert browser["properties"]["$anon_distinct_id"] == visited.anonymous
    assert backend["source"] == "posthog-convex-python"
    [signed_up] = visited.named("signed_up")
    assert signed_up["distinct_id"] == visited.person
    assert second["at"] < min(browser["at"], signed_up["at"])


def test_a_mutation_changes_the_plan_in_the_session_of_the_browser(visited: Visited) -> None:
    [changed] = visited.named("plan_changed")
    assert changed["source"] == "posthog-convex-python"
    assert changed["properties"]["plan"] == "club"
    assert changed["properties"]["$session_id"] == session_of(visited)


def test_the_price_changes_by_itself(visited: Visited) -> None:
    assert visited.prices == (100, 80)
    assert visited.loads == 1, "nothing was loaded again"


def test_each_value_of_the_flag_was_seen_once(visited: Visited) -> None:
    seen = [entry["properties"] for entry in visited.named("$feature_flag_called")]
    values = [(one["$feature_flag"], one["$feature_flag_response"]) for one in seen]
    assert values == [("discount-campaign", False), ("discount-campaign", "variant-a")]
    assert {entry["source"] for entry in visited.named("$feature_flag_called")} == {
        "posthog-convex-python"
    }


def test_the_failed_payment_has_its_properties_and_its_line(visited: Visited) -> None:
    [error] = visited.named("$exception")
    properties = error["properties"]
    wanted = {
        "reason": "card_declined",
        "card": "declined",
        "amount": 100,
        "discount": 0,
        "products": ["Winter house"],
        "convex_function": "orders:checkout",
        "$session_id": session_of(visited),
    }
    assert {name: properties.get(name) for name in wanted} == wanted
    assert properties["$exception_types"] == ["PaymentError"]
    frames = properties["$exception_list"][0]["stacktrace"]["frames"]
    [raised] = [frame for frame in frames if frame["resolved_name"] == "charge"]
    assert raised["source"] == "payments.py"
    assert 'raise PaymentError("card_declined"' in raised["context_line"]
    assert raised["in_app"]
    [issue] = visited.local.issues()
    assert (issue["name"], issue["occurrences"]) == ("PaymentError", 1)


def test_a_line_of_a_function_is_hers_and_on_the_trace_of_the_error(visited: Visited) -> None:
    first, second = visited.named("log")
    assert [line["body"] for line in (first, second)] == [
        "Charging 100 € to a card that says 'works'",
        "Charging 100 € to a card that says 'declined'",
    ]
    [error] = visited.named("$exception")
    [line] = visited.local.logs(trace_id=error["properties"]["$trace_id"])
    assert (line["body"], line["session_id"]) == (second["body"], session_of(visited))


def test_the_answer_of_the_support_is_one_trace_of_hers(visited: Visited) -> None:
    [run] = visited.named("$ai_trace")
    generations = visited.named("$ai_generation")
    assert run["properties"]["$ai_span_name"] == "chat:answer"
    traces = {one["properties"]["$ai_trace_id"] for one in (run, *generations)}
    assert traces == {run["properties"]["$ai_trace_id"]}
    whole = [e for e in visited.local.events() if e["properties"].get("$ai_trace_id") in traces]
    assert {event["distinct_id"] for event in whole} == {visited.person}
    tools = {e["properties"]["$ai_span_name"] for e in whole if e["event"] == "$ai_span"}
    assert any("look_at_the_shelf" in name for name in tools), tools


def test_the_visit_was_recorded(visited: Visited) -> None:
    [replay] = visited.named("replay")
    assert replay["session_id"] == session_of(visited)
    assert replay["clicks"] > 5
    events = visited.local.request("GET", f"/_local/recordings/{replay['session_id']}")["events"]
    kinds = {one["event"]["type"] for one in events}
    assert {2, 3, 4} <= kinds, "the page, what changed on it, and where it was"


def session_of(visited: Visited) -> str:
    [session] = {entry["properties"]["$session_id"] for entry in visited.named("$pageview")}
    return str(session)
