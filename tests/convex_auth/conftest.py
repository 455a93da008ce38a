"""A page that signs people up and in, drawn by the official client of Convex Auth in Chromium.

Owns the bundle, the web server, the browser and the deployment. Never touches what the npm packages
do. One invariant: every test has a person of its own, in a browser profile of its own.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [
    str(HERE.parent / "react"),
    str(HERE.parent / "clients"),
    str(ROOT / "packages" / "pyconvex" / "tests" / "sync"),
]

from browsing import BROWSER_FLAGS, PATIENCE_MS  # noqa: E402
from serving import Served, in_thread, pyconvex  # noqa: E402


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with in_thread(partial(pyconvex, HERE / "app")) as served:
        yield served


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served."""
    folder = tmp_path_factory.mktemp("site")
    bundle(folder / "page.js")
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


def bundle(target: Path) -> None:
    """The page with React and the clients in one file."""
    if not (HERE / "node_modules" / "convex").is_dir():
        npm = ["npm", "ci", "--prefix", str(HERE), "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(npm, check=True, stdin=subprocess.DEVNULL)
    command = [
        str(HERE / "node_modules" / ".bin" / "esbuild"),
        str(HERE / "page.jsx"),
        *("--bundle", "--jsx=automatic", "--log-level=warning"),
        "--define:process.env.NODE_ENV='production'",
        f"--outfile={target}",
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, cwd=HERE)


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
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has been nowhere."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def address(site: str, served: Served) -> str:
    return f"{site}?{urlencode({'url': served.url})}"


@pytest.fixture
def page(profile: BrowserContext, address: str) -> Page:
    """The page of somebody who is not signed in."""
    page = profile.new_page()
    page.goto(address)
    page.wait_for_selector("#submit")
    return page


@pytest.fixture
def email() -> str:
    return f"{uuid4().hex}@example.com"
