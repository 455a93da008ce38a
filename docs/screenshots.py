"""The docs' pictures of the shop and of what PostHog Local knows of its visitor.

Makes the demo's scripted visit in a browser without a window, and keeps what it looks like on a
desktop and on a phone. Run it with `.venv/bin/python docs/screenshots.py`, after `./run demo
--script` has installed what both need. Never checks anything; the tests do. One invariant: every
picture shows the same visit.
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "examples" / "hedgehog-shop"))

from demo import streams  # noqa: E402
from demo.host import hosting  # noqa: E402
from demo.options import parse  # noqa: E402
from demo.receiver import receiving  # noqa: E402
from demo.shopfront import open_shop  # noqa: E402
from demo.steps import STEPS  # noqa: E402
from demo.timeline import wait_for  # noqa: E402
from demo.visit import Visit  # noqa: E402
from demo.visitors.browser import FLAGS, BrowserVisitor  # noqa: E402
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright  # noqa: E402

TARGET = HERE / "images"
DESKTOP: ViewportSize = {"width": 1200, "height": 760}
PHONE: ViewportSize = {"width": 390, "height": 760}
#: Two windows beside each other, as the README shows them.
BESIDE: ViewportSize = {"width": 700, "height": 820}
FREE_PORTS = ["--posthog-port", "0", "--host-port", "0", "--shop-port", "0"]
_PATIENCE_S = 60.0
_PATIENCE_MS = _PATIENCE_S * 1000


def main() -> None:
    """Make the visit, then all pictures."""
    options = parse(["--script", *FREE_PORTS])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = stack.enter_context(receiving(options))
        host = stack.enter_context(hosting(options, receiver, folder))
        streams.set_up(host, receiver)
        shop = stack.enter_context(open_shop(options, host, receiver, folder))
        playwright = stack.enter_context(sync_playwright())
        path = os.environ.get("CHROMIUM")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        stack.callback(browser.close)
        visit = Visit(host, receiver, BrowserVisitor(browser, shop, receiver.token))
        make_visit(visit)
        take(browser, visit, shop)


def make_visit(visit: Visit) -> None:
    """Every step of the demo, and all of it arrived."""
    for number, step in enumerate(STEPS, start=1):
        visit.step = number
        step.run(visit)
        wait_for(visit.local, visit.person, visit.expected, _PATIENCE_S)


def take(browser: Browser, visit: Visit, shop: str) -> None:
    """The pictures, one after another."""
    page = visit.page
    assert page is not None
    person = browser.new_page()
    person.set_default_timeout(_PATIENCE_MS)
    person.goto(f"{visit.local.url}/person/{visit.person}")
    for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
        page.goto(shop)
        page.locator(".shelf").wait_for()
        keep(page, size, f"shop-{name}")
        page.goto(f"{shop}/account")
        page.locator(".orders li").first.wait_for()
        keep(page, size, f"shop-account-{name}")
        keep(person, size, f"shop-timeline-{name}")
    page.goto(shop)
    page.locator(".shelf").wait_for()
    # The payment that failed, and what led to it.
    failed = "document.querySelector('.event a[href*=error_tracking]').scrollIntoView()"
    pictures = [shot(page, BESIDE), shot(person, BESIDE, scroll=failed)]
    beside(browser, pictures, TARGET / "shop-and-timeline.png")


def keep(page: Page, size: ViewportSize, name: str) -> None:
    (TARGET / f"{name}.png").write_bytes(shot(page, size))


def shot(page: Page, size: ViewportSize, *, scroll: str = "scrollTo(0, 0)") -> bytes:
    page.set_viewport_size(size)
    page.evaluate(scroll)
    return page.screenshot(animations="disabled")


def beside(browser: Browser, pictures: list[bytes], target: Path) -> None:
    """Several pictures in a row, as one."""
    sources = (base64.b64encode(picture).decode() for picture in pictures)
    images = "".join(f'<img src="data:image/png;base64,{source}">' for source in sources)
    page = browser.new_page()
    page.set_content(
        "<style>body { margin: 0; padding: 16px; display: flex; gap: 16px; background: #8a9692;"
        f" width: max-content }} img {{ border-radius: 6px }}</style><body>{images}</body>"
    )
    page.locator("body").screenshot(path=target)


if __name__ == "__main__":
    main()
