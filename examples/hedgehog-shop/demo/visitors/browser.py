"""A person in Chromium, without a window.

Owns the browser and what is clicked. Never calls a function of the shop by itself: all that
happens, happens through the page. One invariant: posthog-js treats it as it treats people.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from demo.failure import DemoError
from demo.processes import PATIENCE_S

#: Without what would call out of this machine.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
#: posthog-js drops what robots do, and knows them by these. This one stands for a person.
PERSONLIKE = """
    Object.defineProperty(navigator, "webdriver", { get: () => false });
    Object.defineProperty(navigator, "userAgentData", { get: () => undefined });
"""


@contextmanager
def browsing(shop_url: str, token: str) -> Iterator[BrowserVisitor]:
    """A visitor with a browser of their own, for as long as the block lasts."""
    path = os.environ.get("CHROMIUM")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            raise DemoError(
                "The scripted visit needs a Chromium, and none could be started. Set CHROMIUM to "
                "the path of one, or let a Python client make the visit: --without-browser."
            ) from error
        try:
            yield BrowserVisitor(browser, shop_url, token)
        except (Error, AssertionError) as error:
            # Playwright's messages end in a long log of what it tried.
            raise DemoError(
                f"The page did not do it: {str(error).partition('Call log')[0].strip()}"
            ) from error
        finally:
            browser.close()


def person_page(browser: Browser) -> Page:
    """A tab of a browser that has been nowhere, which posthog-js takes for a person's."""
    agent = browser.new_page()
    shown = str(agent.evaluate("navigator.userAgent")).replace("Headless", "")
    agent.close()
    context = browser.new_context(user_agent=shown, viewport={"width": 1100, "height": 800})
    context.add_init_script(PERSONLIKE)
    context.set_default_timeout(PATIENCE_S * 1000)
    return context.new_page()


class BrowserVisitor:
    """Uses the shop as a person does; see `Visitor`."""

    client = "Chromium, with the official npm clients"

    def __init__(self, browser: Browser, shop_url: str, token: str) -> None:
        self._browser = browser
        self._shop_url = shop_url
        self._token = token
        self.page = person_page(browser)
        expect.set_options(timeout=PATIENCE_S * 1000)

    def look_around(self, product: str) -> str:
        self.page.goto(self._shop_url)
        self._open_product(product)
        return self._distinct_id()

    def sign_up(self, name: str, email: str, password: str) -> str:
        page = self.page
        self._menu("Sign in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign up", exact=True).click()
        expect(page.get_by_role("navigation").get_by_role("link", name=name)).to_be_visible()
        anonymous = self._distinct_id()
        page.wait_for_function(
            "([key, was]) => JSON.parse(localStorage.getItem(key)).$user_state === 'identified'",
            arg=[self._key(), anonymous],
        )
        return self._distinct_id()

    def choose_plan(self, plan: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link").last.click()
        self.page.get_by_role("button", name="Upgrade").click()
        chosen = self.page.locator(".chosen").get_by_role("heading", name=plan)
        expect(chosen).to_be_visible()

    def put_into_cart(self, product: str) -> None:
        self._menu("Shelf")
        self._open_product(product)
        self.page.get_by_role("button", name="Put into cart").click()
        expect(self.page.get_by_text("It is in your cart.")).to_be_visible()

    def pay(self, card: str) -> None:
        self._pay(card)
        expect(self.page.get_by_text("Your order is placed.")).to_be_visible()

    def fail_to_pay(self, card: str) -> str:
        self._pay(card)
        alert = self.page.get_by_role("alert")
        expect(alert).to_be_visible()
        return alert.inner_text()

    def ask_support(self, question: str) -> str:
        self._menu("Help")
        self.page.get_by_label("Your question").fill(question)
        self.page.get_by_role("button", name="Ask", exact=True).click()
        answer = self.page.locator(".talk .support").last
        expect(answer).to_have_attribute("data-state", "done")
        return answer.inner_text().removeprefix("Support:").strip()

    def sees_price(self, product: str, price: int) -> None:
        if not self.page.locator(".shelf").is_visible():
            self._menu("Shelf")
        shown = self.page.locator(".shelf li").filter(has_text=product).locator("[data-price]")
        expect(shown).to_have_text(f"{price} €")

    def edit_flag(self, local_url: str, key: str) -> bool:
        page = person_page(self._browser)
        page.goto(f"{local_url}/feature_flags/{key}")
        page.get_by_label("Enabled").check()
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_load_state()
        page.context.close()
        return True

    def _menu(self, name: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=name).click()

    def _open_product(self, product: str) -> None:
        self.page.get_by_role("link", name=product).click()
        expect(self.page.get_by_role("heading", name=product, level=1)).to_be_visible()

    def _pay(self, card: str) -> None:
        self._menu("Cart")
        self.page.locator(f"input[name=card][value={card}]").check()
        self.page.get_by_role("button", name="Pay").click()

    def _key(self) -> str:
        return f"ph_{self._token}_posthog"

    def _distinct_id(self) -> str:
        """Whom posthog-js takes the visitor for, as it keeps it in the browser."""
        kept = self.page.evaluate("key => localStorage.getItem(key)", self._key())
        return str(json.loads(kept)["distinct_id"]) if kept else ""
