"""Who visits the shop: a person in a browser, or a Python client where there is none.

Owns what a visitor can do, which is what the steps are written in. Never checks what PostHog made
of it. One invariant: a method returns when the shop has shown its effect, or raises `DemoError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Visitor(Protocol):
    """Somebody who uses the shop."""

    @property
    def page(self) -> Page | None:
        """Their browser tab; None for a client without one."""

    @property
    def client(self) -> str:
        """What they use, in words."""

    def look_around(self, product: str) -> str:
        """Open the shop and look at a product; who PostHog takes them for, empty for nobody."""

    def sign_up(self, name: str, email: str, password: str) -> str:
        """Sign up; their id."""

    def choose_plan(self, plan: str) -> None:
        """Take another plan."""

    def put_into_cart(self, product: str) -> None:
        """Put one more of a product into the cart."""

    def pay(self, card: str) -> None:
        """Pay for the cart with one of the shop's cards."""

    def fail_to_pay(self, card: str) -> str:
        """Try to pay with a card that is declined; what the shop says then."""

    def ask_support(self, question: str) -> str:
        """Ask the shop's support; its answer, once it is whole."""

    def sees_price(self, product: str, price: int) -> None:
        """Wait, with the shelf open, until a product has this price."""

    def edit_flag(self, local_url: str, key: str) -> bool:
        """Switch a flag on in the pages of PostHog Local; False for a client that shows none."""
