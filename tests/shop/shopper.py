"""Somebody in a browser of their own: what they do in the shop, and what the browser keeps.

Owns one browser profile. Never calls a function of the shop by itself. One invariant: whatever is
asked of posthog-js is read from where it keeps it, as its next page load would.
"""

from __future__ import annotations

import json
from typing import Any

from demo.visitors.browser import BrowserVisitor
from playwright.sync_api import Browser, expect

PASSWORD = "a hedge of hawthorn"
PRODUCT = "Winter house"
#: After this long without a sign of life posthog-js begins another session, in milliseconds.
_AWAY_MS = 31 * 60 * 1000

#: Moves what posthog-js knows of the session into the past, in both places where it keeps it.
_AGE = """
    ([key, ms]) => {
        const older = (text) => {
            const kept = JSON.parse(text);
            kept.$sesid = [kept.$sesid[0] - ms, kept.$sesid[1], kept.$sesid[2] - ms];
            return JSON.stringify(kept);
        };
        localStorage.setItem(key, older(localStorage.getItem(key)));
        const cookie = document.cookie.split("; ").find((one) => one.startsWith(key + "="));
        const text = decodeURIComponent(cookie.slice(key.length + 1));
        document.cookie = key + "=" + encodeURIComponent(older(text)) + "; path=/";
    }
"""


class Shopper(BrowserVisitor):
    """A `BrowserVisitor` who also signs in and out, and comes back."""

    def __init__(self, browser: Browser, shop: str, token: str) -> None:
        super().__init__(browser, shop, token)
        self.shop = shop

    def visit(self) -> str:
        """Look at a product; the id that the browser's events have."""
        return self.look_around(PRODUCT)

    def joins(self, name: str) -> str:
        """Sign up; the id in the shop."""
        return self.sign_up(name, mail(name), PASSWORD)

    def signs_in(self, name: str) -> str:
        """Sign in again; the id in the shop, once the page has identified them."""
        page = self.page
        page.get_by_role("navigation").get_by_role("link", name="Sign in").click()
        page.get_by_role("button", name="Sign in instead").click()
        page.get_by_label("E-mail").fill(mail(name))
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("navigation").get_by_role("link", name=name)).to_be_visible()
        self.wait_until_kept("kept => kept.$user_state === 'identified'")
        return self.kept("distinct_id")

    def signs_out(self) -> None:
        """Sign out; the browser then knows nobody."""
        page = self.page
        page.get_by_role("navigation").get_by_role("link").last.click()
        page.get_by_role("button", name="Sign out").click()
        link = page.get_by_role("navigation").get_by_role("link", name="Sign in")
        expect(link).to_be_visible()
        self.wait_until_kept("kept => kept.$user_state === 'anonymous'")

    def comes_back_later(self) -> None:
        """Leave the page for half an hour, then open it again."""
        # Any file of the page: the same origin, and no script that runs.
        asset = self.page.locator("script[src]").first.get_attribute("src")
        self.page.goto(f"{self.shop}{asset}")
        self.page.evaluate(_AGE, [self._key(), _AWAY_MS])
        self.page.goto(self.shop)
        expect(self.page.locator(".shelf")).to_be_visible()

    def kept(self, name: str) -> Any:
        """What posthog-js keeps under this name."""
        text = self.page.evaluate("key => localStorage.getItem(key)", self._key())
        return json.loads(text).get(name)

    @property
    def session(self) -> str:
        """The session that goes on."""
        return str(self.kept("$sesid")[1])

    def wait_until_kept(self, condition: str) -> None:
        """Wait until what posthog-js keeps is as a JavaScript function wants it."""
        self.page.wait_for_function(
            "([key, condition]) => eval(condition)(JSON.parse(localStorage.getItem(key)))",
            arg=[self._key(), condition],
        )

    def leaves(self) -> None:
        """Close the browser; posthog-js sends what it still has."""
        self.page.context.close()


def mail(name: str) -> str:
    """The address that somebody signs up with."""
    return f"{name.lower()}@example.com"
