"""The deployment and the browser of a module's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [
    str(HERE),
    str(ROOT / "tests" / "clients"),
    str(ROOT / "packages" / "pyconvex" / "tests" / "sync"),
]

from dashboard_browsing import FLAGS, Shop, Tab  # noqa: E402
from serving import in_thread, pyconvex  # noqa: E402


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with in_thread(partial(pyconvex, HERE / "app")) as served:
        yield Shop(served)


@pytest.fixture(scope="module")
def chrome(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chrome: Browser, shop: Shop) -> Iterator[Tab]:
    """A page that is signed in."""
    tab = Tab(chrome, shop)
    yield tab
    tab.context.close()
