"""Every page with something on it, in a browser: nothing that axe calls serious, no error.

With SCREENSHOTS set to a folder, each page's picture is kept there, as the docs show them:
SCREENSHOTS=docs/images ./run test packages/posthog-local/tests/ui/test_every_page.py -n 0
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from posthog_local.browser.brought import brought_scripts
from posthog_local.testing import PostHogLocal, running

pytestmark = pytest.mark.browser
_AXE = Path(__file__).parents[2] / "browser" / "node_modules" / "axe-core" / "axe.min.js"
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_SQL = (
    "SELECT event, count() AS events, uniq(person_id) AS persons\nFROM events\n"
    "GROUP BY event\nORDER BY events DESC"
)
_STEPS = {"step": ["$pageview", "order_placed"], "window": 168}
_TREND = {
    "event": ["order_placed", "order_placed"],
    "math": ["total", "sum"],
    "of": ["", "total"],
    "where": "plan",
    "is": "is_not",
    "value": "enterprise",
    "days": 7,
    "compare": "on",
}
_PAGES = {
    "activity": "/activity",
    "events": "/data-management/events",
    "event": "/data-management/events/order_placed",
    "property": "/data-management/properties/plan?event=order_placed",
    "persons": "/persons",
    "person": "/person/ada",
    "groups": "/groups/0",
    "group": "/groups/0/acme",
    "flags": "/feature_flags",
    "flag": "/feature_flags/new-checkout?distinct_id=ada",
    "errors": "/error_tracking",
    "error": "/error_tracking/{issue}",
    "logs": "/logs",
    "traces": "/llm_analytics",
    "trace": "/llm_analytics/trace-1",
    "replays": "/replay",
    "replay": "/replay/session-1",
    "cohorts": "/cohorts",
    "cohort": "/cohorts/1",
    "saved": "/saved",
    "funnels": "/funnels?" + urlencode(_STEPS, doseq=True),
    "funnel-persons": "/funnels/persons?" + urlencode({**_STEPS, "at": 2, "gone": "yes"}, True),
    "trends": "/insights?" + urlencode({"event": "order_placed", "breakdown": "plan", "days": 7}),
    "trends-filtered": "/insights?" + urlencode(_TREND, doseq=True),
    "retention": "/retention?" + urlencode({"event": "$pageview", "back": "order_placed"}),
    "paths": "/paths?event=$pageview",
    "experiments": "/experiments?" + urlencode({"flag": "new-checkout", "goal": "order_placed"}),
    "sql": "/sql?" + urlencode({"q": _SQL}),
    "sql-bars": "/sql?" + urlencode({"q": _SQL, "show": "bars"}),
    "warnings": "/warnings",
    "settings": "/settings",
}


_DESKTOP: ViewportSize = {"width": 1200, "height": 760}
_PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def shop() -> Iterator[PostHogLocal]:
    """A server with a little of everything."""
    with running(arguments=["--token", "phc_hedgehog", "--secret-key", "phs_local"]) as local:
        _fill(local)
        yield local


@pytest.fixture(scope="module")
def chrome(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@pytest.mark.skipif(not _AXE.exists(), reason="npm ci in packages/posthog-local/browser")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", _PAGES)
def test_a_page_has_nothing_serious(
    shop: PostHogLocal, chrome: Browser, name: str, scheme: Any
) -> None:
    path = _PAGES[name].replace("{issue}", shop.issues()[0]["id"])
    page = chrome.new_page(color_scheme=scheme, viewport=_DESKTOP)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    try:
        page.goto(shop.url + path)
        if name == "replay" and brought_scripts() is not None:
            page.wait_for_selector("#stage[data-state=ready]")
        page.wait_for_load_state("load")
        serious = _serious(page)
        if scheme == "light":
            page.set_viewport_size(_PHONE)
            serious += [*_serious(page), *_too_wide(page)]
            page.set_viewport_size(_DESKTOP)
        assert serious == []
        assert errors == []
        if "SCREENSHOTS" in os.environ and scheme == "light":
            folder = Path(os.environ["SCREENSHOTS"])
            folder.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=folder / f"posthog-local-{name}.png")
    finally:
        page.close()


def _serious(page: Page) -> list[Any]:
    page.evaluate(_AXE.read_text())
    found = page.evaluate("axe.run(document, {iframes: false})")["violations"]
    return [
        (one["id"], [node["html"] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def _too_wide(page: Page) -> list[str]:
    root = "document.documentElement"
    over = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    return [f"{over} pixels wider than a phone"] if over > 0 else []


def _post(local: PostHogLocal, path: str, body: object, **headers: str) -> None:
    urlopen(Request(local.url + path, json.dumps(body).encode(), headers)).close()


def _form(local: PostHogLocal, path: str, **fields: str) -> None:
    urlopen(local.url + path, urlencode(fields).encode()).close()


def _fill(local: PostHogLocal) -> None:
    now = datetime.now(UTC)

    def event(name: str, who: str, hours: float = 0, **properties: Any) -> dict[str, Any]:
        at = (now - timedelta(hours=hours)).isoformat()
        return {"event": name, "distinct_id": who, "timestamp": at, "properties": properties}

    people = ["ada", "grace", "linus"]
    batch = [
        event("order_placed", people[n % 3], hours=n * 5, plan=("free", "pro")[n % 4 > 1],
              total=10 + n, **{"$lib": "posthog-node", "$groups": {"company": "acme"}})
        for n in range(30)
    ]  # fmt: skip
    batch += [
        event("$groupidentify", "grace", 0.2, **{
            "$group_type": "company", "$group_key": key, "$group_set": {"name": name, "seats": n}})
        for key, name, n in (("acme", "Acme", 20), ("globex", "Globex", 3))
    ]  # fmt: skip
    batch += [event("$pageview", f"visitor-{n}", 30, **{"$lib": "web"}) for n in range(6)]
    batch += [event("order_placed", f"visitor-{n}", 29 - n, plan="free", total=9) for n in range(2)]
    batch += [
        event("$pageview", f"visitor-{n}", 24 * (n % 7) + 2 - minutes / 60, **{
            "$lib": "web", "$current_url": f"http://shop{page}"})
        for n in range(40)
        for minutes, page, share in ((0, "/", 1), (2, "/toy", 2), (5, "/cart", 3), (9, "/help", 7))
        if n % share == 0
    ]  # fmt: skip
    batch += [
        event("order_placed", f"visitor-{n}", 24 * day + 1, plan="free", total=9 + n)
        for n in range(40) for day in range(n % 7) if (n * 7 + day * 3) % 11 < (2, 5)[n % 2]
    ]  # fmt: skip
    batch += [
        event("$feature_flag_called", f"visitor-{n}", 24 * 7, **{
            "$feature_flag": "new-checkout", "$lib": "web",
            "$feature_flag_response": ("control", "one-page")[n % 2]})
        for n in range(40)
    ]  # fmt: skip
    frame = {"platform": "python", "filename": "shop/orders.py", "function": "place_order",
             "lineno": 41, "in_app": True, "context_line": "    raise OutOfStock(item.name)",
             "pre_context": ["def place_order(cart):", "    for item in cart:"],
             "post_context": ["    return Order(cart)"]}  # fmt: skip
    problem = {"type": "OutOfStock", "value": "hedgehog, plush", "stacktrace": {"frames": [frame]}}
    batch += [
        event("$pageview", "anon-1", 0.4, **{"$lib": "web", "$current_url": "http://shop/"}),
        event("$identify", "ada", 0.3, **{"$anon_distinct_id": "anon-1", "$lib": "web",
              "$set": {"email": "ada@example.org", "plan": "pro"}}),
        event("add_to_cart", "ada", 58 / 3600, item="plush", **{"$session_id": "session-1"}),
        event("$exception", "ada", 57 / 3600, **{"$exception_list": [problem],
              "$session_id": "session-1"}),
        event("$ai_trace", "ada", 0.1, **{"$ai_trace_id": "trace-1", "$ai_span_name": "advise"}),
        event("$ai_generation", "ada", 0.1, **{
            "$ai_trace_id": "trace-1", "$ai_parent_id": "trace-1", "$ai_model": "gpt-4o-mini",
            "$ai_provider": "openai", "$ai_input_tokens": 812, "$ai_output_tokens": 96,
            "$ai_latency": 1.4, "$ai_input": [
                {"role": "system", "content": "You sell hedgehogs."},
                {"role": "user", "content": "Which one is soft?"}],
            "$ai_output_choices": [
                {"role": "assistant", "content": "The plush one.", "tool_calls": [
                    {"type": "function",
                     "function": {"name": "stock", "arguments": '{"item": "plush"}'}}]}]}),
        event("$identify", "ada", 0.1, **{"$anon_distinct_id": "null"}),
    ]  # fmt: skip
    _post(local, "/batch/", {"api_key": "phc_hedgehog", "batch": batch})
    lines = [
        {"body": {"stringValue": text}, "severityNumber": number,
         "timeUnixNano": str(time.time_ns()),
         "attributes": [{"key": "posthogDistinctId", "value": {"stringValue": "ada"}}]}
        for text, number in (("cart opened", 9), ("stock is low: hedgehog, plush", 13),
                             ("order refused: out of stock", 17))
    ]  # fmt: skip
    _post(local, "/v1/logs?token=phc_hedgehog", {"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeLogs": [{"logRecords": lines}]}]})  # fmt: skip
    _post(local, "/s/", {"api_key": "phc_hedgehog", "event": "$snapshot", "properties": {
        "token": "phc_hedgehog", "distinct_id": "ada", "$session_id": "session-1",
        "$snapshot_data": _recording(int(now.timestamp() * 1000) - 60_000)}})  # fmt: skip
    local.set_flag("new-checkout", variants={"control": 50, "one-page": 50},
                   payloads={"one-page": {"steps": 1}})  # fmt: skip
    local.set_flag("dark-mode", rollout=0)
    _form(local, "/cohorts/save", name="Pro users", kind="AND", condition_key="plan",
          condition_operator="exact", condition_value="pro")  # fmt: skip
    address = _PAGES["trends"]
    _form(local, "/saved/save", name="Orders by plan", address=address)
    _form(local, "/saved/save", name="From visit to order", address=_PAGES["funnels"])
    _post(local, "/i/v0/ai/otel", {"resourceSpans": [{"scopeSpans": [{"spans": [
        {"name": "GET /cart", "traceId": "0af7651916cd43dd8448eb211c80319c"}]}]}]},
        authorization="Bearer phc_hedgehog")  # fmt: skip
    with contextlib.suppress(HTTPError):
        _post(local, "/batch/", {"api_key": "phx_oops", "batch": [event("order_placed", "ada")]})


def _recording(start_ms: int) -> list[dict[str, Any]]:
    """A small page, as rrweb writes it."""

    def element(number: int, tag: str, children: list[Any], **attributes: str) -> dict[str, Any]:
        return {"type": 2, "id": number, "tagName": tag, "attributes": attributes,
                "childNodes": children}  # fmt: skip

    def text(number: int, content: str) -> dict[str, Any]:
        return {"type": 3, "id": number, "textContent": content}

    style = "font-family: sans-serif; margin: 48px"
    body = element(5, "body", [
        element(6, "h1", [text(7, "Hedgehog shop")]), element(8, "p", [text(9, "Cart: empty")]),
        element(10, "button", [text(11, "Add a plush hedgehog")]),
    ], style=style)  # fmt: skip
    html = element(3, "html", [element(4, "head", []), body], lang="en")
    document = {"type": 0, "id": 1, "childNodes": [html]}
    change = {"source": 0, "texts": [{"id": 9, "value": "Cart: one hedgehog"}], "attributes": [],
              "removes": [], "adds": []}  # fmt: skip
    size = {"href": "http://shop.example/", "width": 900, "height": 480}
    return [
        {"type": 4, "timestamp": start_ms, "data": size},
        {"type": 2, "timestamp": start_ms + 1, "data": {
            "node": document, "initialOffset": {"top": 0, "left": 0}}},
        {"type": 3, "timestamp": start_ms + 4000, "data": change},
    ]  # fmt: skip
