"""The official npm `posthog-js`, unchanged, in a real Chromium against PostHog Local."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from nodes import HERE
from playwright.sync_api import Page, sync_playwright

from posthog_local.testing import PostHogLocal, running

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("_npm_packages")]
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_PAGE = """<!doctype html><title>Shop</title><button id="buy">Buy</button>
<script>
  window.posthog = [];
  posthog._i = [[%(token)s, %(options)s, "posthog"]];
  posthog.__SV = 1;
</script>
<script src="%(url)s/static/array.js"></script>"""


@pytest.fixture(scope="module")
def local(_npm_packages: None) -> Iterator[PostHogLocal]:
    dist = HERE / "node_modules" / "posthog-js" / "dist"
    with running(arguments=["--posthog-js", str(dist)]) as local:
        yield local


@pytest.fixture(scope="module")
def shop(local: PostHogLocal) -> Iterator[str]:
    """A page on another origin that loads posthog-js from PostHog Local."""
    options = {
        "api_host": local.url,
        "defaults": "2025-05-24",
        "request_batching": False,
        # A headless browser counts as a bot, whose events the SDK drops.
        "opt_out_useragent_filter": True,
    }
    html = _PAGE % {
        "token": json.dumps(local.project_token),
        "options": json.dumps(options),
        "url": local.url,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def page(local: PostHogLocal, shop: str, chromium: str) -> Iterator[Page]:
    """The page once posthog-js runs and has its flags."""
    local.set_flag("colour", variants={"red": 100}, payloads={"red": {"hex": "#f00"}})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        page = browser.new_context().new_page()
        page.goto(shop)
        page.wait_for_function("window.posthog && posthog.__loaded")
        yield page
        browser.close()


def test_a_pageview_and_autocapture(local: PostHogLocal, page: Page) -> None:
    view = local.wait_for_event("$pageview", timeout=15)
    assert view["properties"]["$lib"] == "web"
    assert view["properties"]["title"] == "Shop"
    assert view["person_mode"] == "propertyless"
    page.click("#buy")
    click = local.wait_for_event("$autocapture", timeout=15)
    assert click["properties"]["$event_type"] == "click"
    assert 'attr__id="buy"' in click["properties"]["$elements_chain"]


def test_flags_and_payloads(page: Page) -> None:
    page.wait_for_function("posthog.getFeatureFlag('colour') === 'red'", timeout=15_000)
    assert page.evaluate("posthog.getFeatureFlagPayload('colour')") == {"hex": "#f00"}


def test_identify_joins_what_was_anonymous(local: PostHogLocal, page: Page) -> None:
    anonymous = page.evaluate("posthog.get_distinct_id()")
    page.evaluate("posthog.capture('before_login', {cart: 2})")
    page.evaluate("posthog.identify('ada', {plan: 'pro'})")
    page.evaluate("posthog.capture('after_login')")
    local.wait_for_event("after_login", distinct_id="ada", timeout=15)
    events = [one["event"] for one in local.timeline("ada") if one["kind"] == "event"]
    for name in ("$pageview", "before_login", "$identify", "after_login"):
        assert name in events
    person = local.person("ada")
    assert person is not None
    assert set(person["distinct_ids"]) == {"ada", anonymous}
    assert person["properties"]["plan"] == "pro"
    assert person["is_identified"]


def test_an_exception_becomes_an_issue(local: PostHogLocal, page: Page) -> None:
    page.evaluate("setTimeout(() => { throw new TypeError('cart is empty') })")
    event = local.wait_for_event("$exception", timeout=15)
    assert event["properties"]["$exception_types"] == ["TypeError"]
    assert local.issues()[0]["description"] == "cart is empty"


def test_web_vitals(local: PostHogLocal, page: Page) -> None:
    page.click("#buy")
    vitals = local.wait_for_event("$web_vitals", timeout=30)["properties"]
    measured = [name for name in vitals if name.endswith("_value")]
    assert "$web_vitals_FCP_value" in measured
    assert vitals["$session_id"]


def test_console_lines_become_logs(local: PostHogLocal, page: Page) -> None:
    page.evaluate("console.warn('stock is low', {left: 2})")
    deadline = time.monotonic() + 30
    while not (found := local.logs(search="stock is low")):
        assert time.monotonic() < deadline, "the console's line did not arrive"
        page.wait_for_timeout(100)
    assert found[0]["severity"] == "warn"
    assert found[0]["distinct_id"] == page.evaluate("posthog.get_distinct_id()")
    assert found[0]["session_id"] == page.evaluate("posthog.get_session_id()")


def test_the_session_is_recorded_and_played_back(local: PostHogLocal, page: Page) -> None:
    page.click("#buy")
    page.evaluate("document.body.append('more')")
    page.wait_for_function("posthog.sessionRecordingStarted()", timeout=15_000)
    page.evaluate("window.dispatchEvent(new Event('beforeunload'))")
    page.wait_for_timeout(3000)  # the recorder sends every two seconds, and says nothing when
    [recording] = local.recordings()
    events = local.request("GET", f"/_local/recordings/{recording['session_id']}")["events"]
    kinds = {one["event"]["type"] for one in events}
    assert {2, 4} <= kinds  # a full snapshot, and the page that it is of
    full = next(one["event"] for one in events if one["event"]["type"] == 2)
    assert isinstance(full["data"], dict)
    assert recording["start_url"].startswith("http://127.0.0.1:")
    watcher = page.context.new_page()
    watcher.goto(f"{local.url}/replay/{recording['session_id']}")
    watcher.wait_for_selector("#stage[data-state=ready]")
    watcher.select_option("#speed", "8")
    watcher.click("#play")
    watcher.wait_for_selector("#stage[data-state=finished]", timeout=60_000)
    assert watcher.frame_locator("#stage iframe").locator("#buy").inner_text() == "Buy"
    watcher.close()
