"""A payment service that is not there: it takes no money, and refuses some cards on purpose."""

import random
from typing import Literal, TypeAlias

from pyconvex import ConvexError

#: The cards that the checkout offers to try.
Card: TypeAlias = Literal["works", "declined", "sometimes"]


class PaymentError(ConvexError):
    """The payment service said no; its data reaches the page."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__({"code": reason, "message": message})
        self.reason = reason


async def charge(card: Card, amount: int) -> str:
    """Takes `amount` euros from a card; the payment's number."""
    if card == "declined":
        raise PaymentError("card_declined", "The card was declined. Nothing was bought.")
    if card == "sometimes" and random.random() < 0.5:  # noqa: S311 - a toss, no secret
        raise PaymentError("no_answer", "The payment service did not answer. Try again.")
    return f"pay-{random.randrange(10**8):08}"  # noqa: S311 - a toss, no secret
