"""The pages in a browser: live rows, pausing, the keyboard, and code that stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from posthog_local.testing import PostHogLocal

pytestmark = pytest.mark.browser
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_XSS = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


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


def send(local: PostHogLocal, event: str, distinct_id: str = "u") -> None:
    body = {"api_key": "phc_a", "event": event, "distinct_id": distinct_id,
            "properties": {event: event}}  # fmt: skip
    urlopen(local.url + "/e/", json.dumps(body).encode()).close()


def test_rows_come_by_themselves_and_stay_text(local: PostHogLocal, page: Page) -> None:
    page.goto(local.url + "/activity")
    page.wait_for_selector("#live:has-text('live')")
    send(local, "first")
    page.wait_for_selector(".event .name:has-text('first')")
    assert page.is_hidden("#empty")
    send(local, _XSS, _XSS)
    page.wait_for_selector(".event .name:has-text('<img')")
    names = page.locator(".event .name").all_inner_texts()
    assert names == [_XSS, "first"]
    assert page.title().startswith("Activity")


def test_pausing_holds_rows_back(local: PostHogLocal, page: Page) -> None:
    page.goto(local.url + "/activity")
    page.wait_for_selector("#live:has-text('live')")
    page.focus("#pause")
    page.keyboard.press("Enter")
    send(local, "held")
    page.wait_for_selector("#live:has-text('1 waiting')")
    assert page.locator(".event").count() == 0
    page.keyboard.press("Enter")
    page.wait_for_selector(".event .name:has-text('held')")


def test_a_timeline_is_reached_by_the_keyboard_alone(local: PostHogLocal, page: Page) -> None:
    send(local, "seen", "ada")
    page.goto(local.url + "/activity")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the content
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "ada":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/person/ada")
    assert page.inner_text("h1") == "ada"


def test_a_flag_is_made_and_tried_in_the_browser(local: PostHogLocal, page: Page) -> None:
    page.goto(local.url + "/feature_flags/new")
    page.fill("#key", "beta")
    page.fill("[aria-label='Variant key 1']", "only")
    page.fill("[aria-label='Share of variant 1']", "100")
    page.click("text=Save")
    page.wait_for_url("**/feature_flags/beta")
    page.fill("#tried", "ada")
    page.click("text=Evaluate")
    assert "only" in page.inner_text("aside [role=status]")
    page.goto(local.url + "/feature_flags")
    page.click("text=Disable")
    assert local.flags()[0]["active"] is False
