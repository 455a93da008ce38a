"""The example shop with its page, its host and PostHog Local: browser and functions together."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "hedgehog-shop"))
sys.path.insert(0, str(Path(__file__).parent))

from demo.host import hosting  # noqa: E402
from demo.options import Options  # noqa: E402
from demo.receiver import receiving  # noqa: E402
from demo.shopfront import open_shop  # noqa: E402
from demo.visitors.browser import FLAGS  # noqa: E402
from shopper import Place  # noqa: E402

ANY_PORT = Options(
    script=True, browser=True, posthog_port=0, host_port=0, shop_port=0, data=None, cloud=None
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """What `./run demo` starts, on free ports."""
    folder = tmp_path_factory.mktemp("shop")
    os.environ["NO_COLOR"] = "1"
    with receiving(ANY_PORT) as receiver, hosting(ANY_PORT, receiver, folder) as host:
        assert receiver.local is not None
        with open_shop(ANY_PORT, host, receiver, folder) as shop:
            yield Place(shop, host, receiver.local)


@pytest.fixture(scope="module")
def chrome(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
