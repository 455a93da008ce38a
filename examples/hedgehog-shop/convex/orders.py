"""Buying: an action that pays, and a mutation that makes an order of the cart."""

from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    Id,
    MutationCtx,
    QueryCtx,
    action,
    internal_mutation,
    internal_query,
    query,
)

from .cart import Cart, cart_of, empty
from .payments import Card, PaymentError, charge
from .posthog import posthog
from .users import User, signed_in


class Order(Document, table="orders", indexes={"by_user": ["user_id"]}):
    user_id: Id[User]
    #: In whole euros.
    paid: int
    #: How many things.
    items: int
    payment: str


@query
async def mine(ctx: QueryCtx) -> list[Order]:
    """The caller's orders, the latest first."""
    if ctx.user_id is None:
        return []
    orders = ctx.db.query(Order).with_index("by_user", user_id=User.id(ctx.user_id))
    return await orders.order("desc").take(10)


@action
async def checkout(ctx: ActionCtx, card: Card, session_id: str | None = None) -> Id[Order]:
    """Pay for the caller's cart and make an order of it.

    A payment that fails is reported with what somebody would want to know of it, and the page shows
    why. Nothing was written then.
    """
    ctx.set_session_id(session_id)
    signed_in(ctx)
    cart: Cart = await ctx.run_query(to_pay)
    if not cart["entries"]:
        raise ConvexError({"code": "empty_cart", "message": "There is nothing in your cart."})
    print(f"Charging {cart['total']} € to a card that says {card!r}")
    try:
        payment = await charge(card, cart["total"])
    except PaymentError as error:
        await posthog.capture_exception(
            ctx,
            error,
            additional_properties={
                "reason": error.reason,
                "card": card,
                "amount": cart["total"],
                "discount": cart["discount"],
                "products": [entry["product"].name for entry in cart["entries"]],
            },
        )
        raise
    return await ctx.run_mutation(place, cart["total"], payment, session_id)


@internal_query
async def to_pay(ctx: QueryCtx) -> Cart:
    return await cart_of(ctx, signed_in(ctx))


@internal_mutation
async def place(
    ctx: MutationCtx, paid: int, payment: str, session_id: str | None = None
) -> Id[Order]:
    """The order, an empty cart and the event: one transaction."""
    ctx.set_session_id(session_id)
    user_id = signed_in(ctx)
    cart = await cart_of(ctx, user_id)
    items = sum(entry["quantity"] for entry in cart["entries"])
    order_id = await ctx.db.insert(Order(user_id=user_id, paid=paid, items=items, payment=payment))
    await empty(ctx, user_id)
    await posthog.capture(
        ctx,
        "order_placed",
        properties={
            "order": order_id,
            "paid": paid,
            "items": items,
            "discount": cart["discount"],
            "products": [entry["product"].name for entry in cart["entries"]],
        },
    )
    return order_id
