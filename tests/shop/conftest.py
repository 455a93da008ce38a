"""The example shop, opened as `./run demo` opens it, for tests to visit.

Owns what runs for a module: PostHog Local, the host, the page and a browser, on free ports. Never
says what a visit should leave. One invariant: a module has all of it for itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "examples" / "hedgehog-shop")]

from demo import streams  # noqa: E402
from demo.host import hosting  # noqa: E402
from demo.options import parse  # noqa: E402
from demo.receiver import receiving  # noqa: E402
from demo.shopfront import open_shop  # noqa: E402
from demo.visitors.browser import FLAGS  # noqa: E402
from opened_shop import FREE_PORTS, SHOP, Opened  # noqa: E402


@pytest.fixture(scope="session")
def npm_packages() -> None:
    """What the page is built with; `./run test` has installed it."""
    if not (SHOP / "node_modules" / "vite").is_dir():
        npm = ["npm", "ci", "--prefix", str(SHOP), "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(npm, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def opened(npm_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The shop with everything that it needs, for the module."""
    folder = tmp_path_factory.mktemp("shop")
    options = parse(["--script", *FREE_PORTS])
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving(options))
        host = stack.enter_context(hosting(options, receiver, folder))
        streams.set_up(host, receiver)
        url = stack.enter_context(open_shop(options, host, receiver, folder))
        yield Opened(receiver, host, url)


# Not for the session: while Playwright runs, this thread can run no other event loop.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    os.environ["CHROMIUM"] = chromium
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
