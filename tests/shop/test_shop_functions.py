"""The shop's functions, in memory: who may do what, what it costs, and what PostHog is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opened_shop import SHOP

from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex import ConvexError
from pyconvex.testing import Caller, ConvexTest, convex_test

Scenario = Callable[[ConvexTest, PostHogTest], Awaitable[None]]
USER = {"email": "ada@example.com", "name": "Ada", "plan": "free"}


def run(scenario: Scenario) -> None:
    async def main() -> None:
        async with convex_test(SHOP / "convex", env=ENV) as t, posthog_test(t) as posthog:
            await t.mutation("products:stock")
            await scenario(t, posthog)

    asyncio.run(main())


async def ada(t: ConvexTest) -> Caller:
    """Somebody who has signed up."""
    user_id = await t.run(lambda ctx: ctx.db.insert("users", USER))
    return t.with_identity(subject=str(user_id))


async def house(t: ConvexTest) -> Any:
    offers = await t.query("products:offers")
    return offers[0]["product"]._id


@pytest.mark.parametrize(
    ("value", "price"), [("variant-a", 80), ("variant-b", 90), (False, 100), ("variant-c", 100)]
)
def test_the_flag_decides_the_price(value: str | bool, price: int) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await posthog.set_flag("discount-campaign", value)
        caller = await ada(t)
        assert (await caller.query("products:offers"))[0]["price"] == price
        assert (await t.query("products:offers"))[0]["price"] == 100, "nobody has no discount"

    run(scenario)


def test_a_shelf_is_filled_once() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        assert await t.mutation("products:stock") == 6
        assert len(await t.query("products:offers")) == 6

    run(scenario)


def test_a_sign_up_is_captured_once() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        caller = await ada(t)
        await caller.mutation("users:welcome", session_id="s1")
        await caller.mutation("users:welcome", session_id="s2")
        [signed_up] = [one for one in posthog.events if one["event"] == "signed_up"]
        assert signed_up["properties"]["$session_id"] == "s1"

    run(scenario)


def test_buying_empties_the_cart_and_captures_the_order() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await posthog.set_flag("discount-campaign", "variant-a")
        caller = await ada(t)
        await caller.mutation("cart:put", product_id=await house(t), quantity=2)
        order = await caller.action("orders:checkout", card="works", session_id="s1")
        assert (await caller.query("cart:mine"))["entries"] == []
        [stored] = await caller.query("orders:mine")
        assert (stored._id, stored.paid, stored.items) == (order, 160, 2)
        [placed] = [one for one in posthog.events if one["event"] == "order_placed"]
        told = {name: placed["properties"][name] for name in ("paid", "items", "discount")}
        assert told == {"paid": 160, "items": 2, "discount": 20}
        assert placed["properties"]["$session_id"] == "s1"

    run(scenario)


def test_a_declined_card_buys_nothing_and_is_reported_with_what_it_was_about() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        caller = await ada(t)
        await caller.mutation("cart:put", product_id=await house(t), quantity=1)
        with pytest.raises(ConvexError, match="declined"):
            await caller.action("orders:checkout", card="declined", session_id="s1")
        assert len((await caller.query("cart:mine"))["entries"]) == 1
        assert await caller.query("orders:mine") == []
        [error] = posthog.exceptions
        assert error["properties"]["reason"] == "card_declined"
        assert error["properties"]["amount"] == 100
        assert error["properties"]["$session_id"] == "s1"

    run(scenario)


@pytest.mark.parametrize(
    ("kind", "path", "arguments"),
    [
        ("mutation", "users:choose_plan", {"plan": "club"}),
        ("mutation", "users:welcome", {}),
        ("action", "orders:checkout", {"card": "works"}),
    ],
)
def test_nobody_can_do_it(kind: str, path: str, arguments: dict[str, Any]) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(ConvexError, match="not_signed_in"):
            await getattr(t, kind)(path, **arguments)
        assert posthog.events == []

    run(scenario)


@pytest.mark.parametrize("quantity", [-1, 10])
def test_a_quantity_that_makes_no_sense(quantity: int) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        caller = await ada(t)
        with pytest.raises(ConvexError, match="no_such_line"):
            await caller.mutation("cart:put", product_id=await house(t), quantity=quantity)

    run(scenario)


def test_an_empty_cart_is_not_paid_for() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(ConvexError, match="empty_cart"):
            await (await ada(t)).action("orders:checkout", card="works")

    run(scenario)


def test_carts_and_orders_are_their_owners_own() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        first, second = await ada(t), await ada(t)
        await first.mutation("cart:put", product_id=await house(t), quantity=1)
        assert (await second.query("cart:mine"))["entries"] == []
        assert (await t.query("cart:mine"))["entries"] == []

    run(scenario)


def test_an_answer_of_the_support_grows_in_its_document() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        caller = await ada(t)
        with pytest.raises(ConvexError):
            await t.mutation("chat:ask", text="Who am I?")
        await caller.mutation("chat:ask", text="How much is the Leaf bed?")
        question, waiting = await caller.query("chat:mine")
        assert (question.author, waiting.author) == ("customer", "support")
        assert (waiting.state, waiting.text) == ("writing", "")
        await t.drain()
        _, answer = await caller.query("chat:mine")
        assert answer.state == "done"
        assert answer.text.strip() == "Leaf bed is 20 €: A sack of beech leaves, shaken twice."
        assert await t.query("chat:mine") == []

    run(scenario)
