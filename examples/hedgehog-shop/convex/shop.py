from pyconvex import ConvexError, Document, Id, MutationCtx, QueryCtx, mutation, query

from .posthog import posthog
from .users import User

#: What a hedgehog house costs before any discount, in euros.
LIST_PRICE = 100


class Order(Document, table="orders", indexes={"by_user": ["user_id"]}):
    user_id: Id[User]
    paid: int


@query
async def price(ctx: QueryCtx, user_id: Id[User]) -> int:
    return LIST_PRICE - await discount(ctx, user_id)


@mutation
async def buy(ctx: MutationCtx, user_id: Id[User], card: str = "4242") -> Id[Order]:
    paid = LIST_PRICE - await discount(ctx, user_id)
    order_id = await ctx.db.insert(Order(user_id=user_id, paid=paid))
    await posthog.capture(
        ctx, "order_placed", distinct_id=user_id, properties={"order": order_id, "paid": paid}
    )
    if card == "0000":
        raise ConvexError("The card was declined")  # nothing above has happened then
    return order_id


async def discount(ctx: QueryCtx, user_id: Id[User]) -> int:
    match await posthog.get_feature_flag(ctx, "discount-campaign", distinct_id=user_id):
        case "variant-a":
            return 20
        case "variant-b":
            return 10
        case _:
            return 0
