"""The replay page: plays what rrweb recorded, runs none of its code, and says what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from posthog_local.browser.brought import PLAYER, brought_scripts
from posthog_local.testing import PostHogLocal
from posthog_local.ui.render import Renderer

_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_XSS = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
_PLAYER = pytest.mark.skipif(
    brought_scripts() is None, reason="npm ci in packages/posthog-local/browser"
)


@pytest.fixture(scope="module")
def _browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(_browser: Browser) -> Iterator[Page]:
    page = _browser.new_page()
    yield page
    page.close()


def upload(local: PostHogLocal, events: list[object], window: str = "w1") -> None:
    body = {"api_key": "phc_a", "event": "$snapshot", "properties": {
        "token": "phc_a", "distinct_id": "ada", "$session_id": "s1", "$window_id": window,
        "$snapshot_data": events}}  # fmt: skip
    urlopen(local.url + "/s/", json.dumps(body).encode()).close()


def record(local: PostHogLocal, page: Page) -> list[object]:
    """What rrweb records of a small page in which something changes."""
    page.goto(local.url + "/_local/ready")
    page.set_content("<style>p { color: rgb(1, 2, 3) }</style><p id=cart>empty</p>")
    page.evaluate(
        "async (player) => { const rrweb = await import(player);"
        " window.seen = []; rrweb.record({emit: (event) => seen.push(event)});"
        " document.getElementById('cart').textContent = 'full' }",
        f"/static/{PLAYER}",
    )
    page.wait_for_function("seen.some((event) => event.type === 3)")
    return list(page.evaluate("seen"))


@_PLAYER
@pytest.mark.browser
def test_a_recording_is_played_back(local: PostHogLocal, page: Page) -> None:
    upload(local, record(local, page))
    page.goto(local.url + "/person/ada")
    page.click("text=Session replay")
    page.wait_for_selector("#stage[data-state=ready]")
    recorded = page.frame_locator("#stage iframe")
    assert recorded.locator("#cart").inner_text() == "empty"
    colour = recorded.locator("#cart").evaluate("node => getComputedStyle(node).color")
    assert colour == "rgb(1, 2, 3)"
    page.focus("#play")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage[data-state=finished]")
    assert recorded.locator("#cart").inner_text() == "full"
    assert page.inner_text("#play") == "Play"


@_PLAYER
@pytest.mark.browser
def test_what_happened_meanwhile_leads_to_its_place(local: PostHogLocal, page: Page) -> None:
    events: list[Any] = record(local, page)
    begin = events[0]["timestamp"]
    said = {"plugin": "rrweb/console@1", "payload": {"level": "error", "payload": ['"no stock"']}}
    events.append({"type": 6, "timestamp": begin + 5000, "data": said})
    events.append({"type": 5, "timestamp": begin + 9000, "data": {"tag": "end", "payload": {}}})
    upload(local, events)
    at = datetime.fromtimestamp((begin + 3000) / 1000, UTC).isoformat()
    for session in ("s1", "another"):
        body = {"api_key": "phc_a", "event": f"paid in {session}", "distinct_id": "ada",
                "timestamp": at, "properties": {"$session_id": session}}  # fmt: skip
        urlopen(local.url + "/e/", json.dumps(body).encode()).close()
    page.goto(local.url + "/replay/s1")
    page.wait_for_selector("#stage[data-state=ready]")
    lines = page.locator(".moments button").all_inner_texts()
    assert [line.split(None, 1)[0] for line in lines[-2:]] == ["0:03", "0:05"]
    assert "paid in s1" in lines[-2]
    assert "no stock" in lines[-1]
    assert "another" not in "".join(lines)
    page.click("text=paid in s1")
    assert page.inner_text("#clock").startswith("0:03")


@_PLAYER
@pytest.mark.browser
def test_a_recorded_page_runs_no_code(local: PostHogLocal, page: Page) -> None:
    events = record(local, page)
    text = json.dumps(events).replace('"empty"', json.dumps(_XSS))
    attributes = {"src": "x", "onerror": "parent.document.title='owned'"}
    node = {"type": 2, "tagName": "img", "attributes": attributes, "childNodes": [], "id": 900}
    events = json.loads(text)
    [full] = [one for one in events if one["type"] == 2]
    full["data"]["node"]["childNodes"][-1]["childNodes"][-1]["childNodes"].append(node)
    upload(local, events)
    page.goto(local.url + "/replay/s1")
    page.wait_for_selector("#stage[data-state=ready]")
    assert page.frame_locator("#stage iframe").locator("#cart").inner_text() == _XSS
    assert page.title().startswith("Replay")


@_PLAYER
@pytest.mark.browser
def test_a_recording_without_a_snapshot_says_so(local: PostHogLocal, page: Page) -> None:
    upload(local, [{"type": 4, "timestamp": 1, "data": {"href": _XSS}}])
    page.goto(local.url + "/replay/s1")
    page.wait_for_selector("#said:has-text('no full snapshot')")


def test_windows_are_played_one_at_a_time(local: PostHogLocal) -> None:
    for number, window in enumerate(("w1", _XSS)):
        upload(local, [{"type": 4, "timestamp": number, "data": {"href": window}}], window)
    html = urlopen(local.url + "/replay/s1").read().decode()
    assert "Window 2" in html
    assert "<img" not in html
    only = json.load(urlopen(local.url + "/replay/s1/events.json?window=w1"))
    assert [one["data"]["href"] for one in only] == ["w1"]


def test_without_the_player_the_page_says_what_is_missing() -> None:
    recording = {"session_id": "s", "distinct_id": "u", "first_ms": 0, "last_ms": 1, "clicks": 0,
                 "keypresses": 0, "console_errors": 0, "start_url": None}  # fmt: skip
    html = Renderer().text(
        "replay.html",
        section="replay",
        recording=recording,
        windows=["w"],
        window="w",
        player=None,
        moments=[],
    )
    assert "The player is missing" in html
