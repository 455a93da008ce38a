"""Every page, in light and dark, at a desk and on a phone: nothing serious for axe, no overflow."""

from __future__ import annotations

from typing import Any

import pytest
from dashboard_browsing import AXE, Shop, Tab
from playwright.sync_api import Browser, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not AXE.exists(), reason="npm ci in packages/posthog-local/browser"),
]
SIZES = {"desk": {"width": 1200, "height": 800}, "phone": {"width": 390, "height": 844}}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(shop: Shop, chrome: Browser, scheme: Any, size: str) -> None:
    shop.call("orders:place", user="ada", item="mug", amount=12)
    shop.call("orders:place", user="grace", item="teapot")
    viewport: Any = SIZES[size]
    tab = Tab(chrome, shop, color_scheme=scheme, viewport=viewport)
    try:
        page = tab.page
        expect(page.locator("#live")).to_have_text("live")
        page.locator(".error > summary").first.click()
        assert (tab.serious(), tab.overflows()) == ([], False)
        if (scheme, size) == ("light", "desk"):
            tab.keep_picture("logs")
        for path in (
            *("functions", "tables", "tables/orders", "schedules", "variables", "tables/nothing"),
            "tables/orders?field=item&op=contains&value=mug",
            *(
                "queues",
                "companions",
                "log_streams",
                "log_streams/new/webhook",
                "log_streams/new/file",  # the last one, whose form is sent
            ),
        ):
            page.goto(f"/dashboard/{path}")
            assert (path, tab.serious(), tab.overflows()) == (path, [], False)
        page.get_by_role("button", name="Add").click()
        assert (tab.serious(), tab.overflows()) == ([], False)
        page.goto("/dashboard/tables/orders")
        if (scheme, size) == ("light", "desk"):
            tab.keep_picture("table")
        page.locator("tbody a").first.click()
        assert (tab.serious(), tab.overflows()) == ([], False)
        page.goto("/dashboard/functions/run?function=orders:place")
        assert (tab.serious(), tab.overflows()) == ([], False)
        page.get_by_label("Arguments").fill('{"item": "teapot", "amount": 12}')
        page.get_by_role("button", name="Run mutation").click()
        expect(page.get_by_label("Error")).to_be_visible()
        assert (tab.serious(), tab.overflows()) == ([], False)
        if (scheme, size) == ("light", "desk"):
            tab.keep_picture("function")
        page.goto("/dashboard/nothing")
        assert (tab.serious(), tab.overflows()) == ([], False)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Admin key").fill("x|y")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        assert (tab.serious(), tab.overflows()) == ([], False)
        # Answers of 404 and 403 are what was asked for here.
        assert [one for one in tab.errors if "status of 40" not in one] == []
    finally:
        tab.context.close()
