"""Every page of the shop, on phone and desktop, light and dark: nothing that axe calls serious."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opened_shop import Opened
from playwright.sync_api import Browser, Page, expect
from shopper import PRODUCT, Shopper

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
AXE = ROOT / "packages/posthog-local/browser/node_modules/axe-core/axe.min.js"
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def shopper(opened: Opened, browser: Browser) -> Iterator[Shopper]:
    """Somebody with an account, an order, and a cart that they could not pay for."""
    one = Shopper(browser, opened.url, opened.receiver.token)
    one.visit()
    one.joins("Axel")
    one.put_into_cart(PRODUCT)
    one.pay("works")
    one.put_into_cart(PRODUCT)
    yield one
    one.leaves()


def shelf(shopper: Shopper) -> None:
    shopper.page.goto(shopper.shop)
    expect(shopper.page.locator(".shelf")).to_be_visible()


def product(shopper: Shopper) -> None:
    shelf(shopper)
    shopper.page.get_by_role("link", name=PRODUCT).click()
    expect(shopper.page.get_by_role("button", name="Put into cart")).to_be_enabled()


def cart(shopper: Shopper) -> None:
    shopper.page.goto(f"{shopper.shop}/cart")
    expect(shopper.page.get_by_role("button", name="Pay")).to_be_visible()


def refused(shopper: Shopper) -> None:
    cart(shopper)
    shopper.fail_to_pay("declined")


def account(shopper: Shopper) -> None:
    shopper.page.goto(f"{shopper.shop}/account")
    expect(shopper.page.locator(".orders li")).to_be_visible()


def nothing(shopper: Shopper) -> None:
    shopper.page.goto(f"{shopper.shop}/no-such-page")
    expect(shopper.page.get_by_role("heading", name="Nothing here")).to_be_visible()


@pytest.mark.skipif(not AXE.exists(), reason="npm ci in packages/posthog-local/browser")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stop", [shelf, product, cart, refused, account, nothing])
def test_a_page_has_nothing_serious(shopper: Shopper, stop: Any, size: str) -> None:
    shopper.page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    stop(shopper)
    assert problems(shopper.page) == []


@pytest.mark.skipif(not AXE.exists(), reason="npm ci in packages/posthog-local/browser")
@pytest.mark.parametrize("size", SIZES)
def test_the_form_of_a_stranger_has_nothing_serious(
    opened: Opened, browser: Browser, size: str
) -> None:
    page = browser.new_page(viewport=SIZES[size])  # type: ignore[arg-type]
    try:
        page.goto(f"{opened.url}/sign-in")
        page.get_by_label("E-mail").wait_for()
        assert problems(page) == []
        page.get_by_role("button", name="Sign in instead").click()
        page.get_by_label("E-mail").fill("nobody@example.com")
        page.get_by_label("Password").fill("wrong, all wrong")
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("alert").wait_for()
        assert problems(page) == []
    finally:
        page.close()


def problems(page: Page) -> list[Any]:
    """What axe calls serious, in both colour schemes; and a page wider than its window."""
    found: list[Any] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.evaluate(AXE.read_text())
        violations = page.evaluate("axe.run(document, {iframes: false})")["violations"]
        found += [
            (scheme, one["id"], [node["html"] for node in one["nodes"]][:3])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    if (over := page.evaluate(wide)) > 0:
        found.append(f"{over} pixels wider than the window")
    return found
