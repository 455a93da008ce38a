"""A page that React draws from a deployment, in Chromium, over a line that can be cut.

Owns the bundle, the web server and the browser. Never touches what the npm packages do. One
invariant: every test has a counter and a book of its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
CLIENTS = HERE.parent / "clients"
MEMORY_DEPLOYMENT = HERE.parents[1] / "packages" / "pyconvex" / "tests" / "sync"
sys.path[:0] = [str(HERE), str(CLIENTS), str(MEMORY_DEPLOYMENT)]

from browsing import BROWSER_FLAGS, CLIENT_VERSIONS, PATIENCE_MS, bundle  # noqa: E402
from serving import Line, Served, in_thread, pyconvex  # noqa: E402


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with in_thread(partial(pyconvex, HERE / "app")) as served:
        yield served


@pytest.fixture
def line(served: Served) -> Iterator[Line]:
    with in_thread(lambda: Line(served)) as line:
        yield line


@pytest.fixture(scope="module", params=CLIENT_VERSIONS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served, with each version of the client by turns."""
    folder = tmp_path_factory.mktemp("site")
    bundle(folder / "page.js", CLIENT_VERSIONS[request.param])
    html = '<!doctype html><title>Page</title><div id="root"></div><script src="page.js"></script>'
    (folder / "index.html").write_text(html)
    handler = partial(_QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


# Not for the session: while Playwright runs, this thread can run no other event loop.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def name() -> str:
    """A counter and a book that no other test uses."""
    return uuid4().hex


@pytest.fixture
def visit(browser: Browser, site: str, line: Line, name: str) -> Iterator[Callable[[], Page]]:
    """Opens the page and waits until it shows what the deployment has."""
    opened: list[Page] = []

    def visit() -> Page:
        opened.append(_visited(browser, f"{site}?{urlencode({'url': line.url, 'name': name})}"))
        return opened[-1]

    yield visit
    for page in opened:
        page.close()


@pytest.fixture
def page(visit: Callable[[], Page]) -> Page:
    """The page, of a counter and a book that nobody has used."""
    return visit()


def _visited(browser: Browser, url: str) -> Page:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.wait_for_function("/^[0-9]+$/.test(document.querySelector('#total')?.textContent)")
    return page
