"""Log streams, set up and looked after in a browser, against receivers that listen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from dashboard_browsing import PATIENCE_S, Shop, Tab
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
PATIENCE_MS = PATIENCE_S * 1000


class Receiver:
    """An address that takes events, or says why not."""

    def __init__(self) -> None:
        self.status = 200
        self.events: list[dict[str, object]] = []
        self.signatures: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if receiver.status == 200:
                    receiver.events += [json.loads(line) for line in body.splitlines()]
                    receiver.signatures.append(self.headers["x-webhook-signature"])
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/in"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def no_streams(shop: Shop) -> None:
    for stream in shop.admin("GET", "/api/v1/list_log_streams").json():
        shop.admin("POST", f"/api/v1/delete_log_stream/{stream['id']}", {})


def add_webhook(page: Page, url: str) -> None:
    page.goto("/dashboard/log_streams")
    page.get_by_role("link", name="Webhook").click()
    page.get_by_label("URL").fill(url)
    page.get_by_role("button", name="Add").click()
    page.wait_for_url("**/log_streams/*made=1")


def has_become(page: Page, state: str) -> None:
    expect(page.locator(".badge")).to_have_text(state, timeout=PATIENCE_MS)


@pytest.mark.usefixtures("no_streams")
def test_a_webhook_from_nothing_to_events_and_away_again(
    shop: Shop, tab: Tab, receiver: Receiver
) -> None:
    page = tab.page
    add_webhook(page, receiver.url)
    has_become(page, "active")  # by itself: nobody loads the page again
    first = page.locator("#hmacSecret").inner_text()
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    shop.call("orders:place", user="ada", item="mug")
    numbers = page.locator(".numbers div")
    expect(numbers.filter(has_text="sent").locator("dd")).not_to_have_text("0", timeout=PATIENCE_MS)
    assert "console" in {event["topic"] for event in receiver.events}
    page.get_by_role("button", name="Test now").click()
    expect(page.get_by_role("status").filter(has_text="The receiver takes")).to_be_visible()
    page.get_by_role("link", name="Regenerate").click()
    page.get_by_role("button", name="Regenerate").click()
    page.wait_for_url("**/log_streams/*made=1")
    second = page.locator("#hmacSecret").inner_text()
    assert second != first
    page.get_by_role("link", name="Delete this log stream").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Delete this log stream").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status").filter(has_text="was deleted")).to_be_visible()
    assert shop.admin("GET", "/api/v1/list_log_streams").json() == []
    assert tab.errors == []


@pytest.mark.usefixtures("no_streams")
def test_a_receiver_that_refuses_is_shown_with_its_reason_and_mended(
    shop: Shop, tab: Tab, receiver: Receiver
) -> None:
    page = tab.page
    receiver.status = 401
    add_webhook(page, receiver.url)
    has_become(page, "failed")
    expect(page.locator(".state .alert")).to_contain_text("401")
    page.get_by_role("button", name="Test now").click()
    expect(page.get_by_role("alert").filter(has_text="does not take events")).to_be_visible()
    receiver.status = 200
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/log_streams/*saved=1")
    has_become(page, "active")


@pytest.mark.usefixtures("no_streams")
def test_what_is_wrong_is_said_at_the_fields(shop: Shop, tab: Tab, receiver: Receiver) -> None:
    page = tab.page
    page.goto("/dashboard/log_streams/new/webhook")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("URL")).to_be_focused()
    expect(page.locator("#problem-url")).to_have_text("URL is required")
    page.get_by_label("URL").fill("nowhere")
    page.get_by_label("All there are").uncheck()
    page.keyboard.press("Enter")
    expect(page.locator("#problem-url")).to_have_text("Must be a valid URL")
    expect(page.locator("#problem-topics")).to_have_text("Select at least one topic.")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_label("console").check()
    page.get_by_role("button", name="Add").click()
    page.wait_for_url("**/log_streams/*made=1")
    [made] = shop.admin("GET", "/api/v1/list_log_streams").json()
    assert (made["topics"], made["format"]) == (["console"], "jsonl")


@pytest.mark.usefixtures("no_streams")
def test_a_file_is_set_up_and_refused_where_it_can_not_be(
    shop: Shop, tab: Tab, tmp_path: object
) -> None:
    page = tab.page
    page.goto("/dashboard/log_streams/new/file")
    page.get_by_label("Path").fill("relative.jsonl")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#problem-path")).to_contain_text("must be the absolute path")
    page.get_by_label("Path").fill(f"{tmp_path}/events.jsonl")
    page.get_by_label("Bytes a file").fill("much")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#problem-maxBytes")).to_have_text("Must be a number")
    page.get_by_label("Bytes a file").fill("1000000")
    page.get_by_role("button", name="Add").click()
    page.wait_for_url("**/log_streams/*made=1")
    has_become(page, "active")
