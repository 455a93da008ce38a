"""What the caller means to buy."""

from typing import TypedDict

from pyconvex import ConvexError, Document, Id, MutationCtx, QueryCtx, mutation, query

from .posthog import posthog
from .products import Product, discount, reduced
from .users import User, signed_in

#: So that a stuck key buys no hundred houses.
MOST = 9


class CartLine(Document, table="cart_lines", indexes={"by_user": ["user_id", "product_id"]}):
    user_id: Id[User]
    product_id: Id[Product]
    quantity: int


class CartEntry(TypedDict):
    product: Product
    quantity: int
    #: For the whole quantity, after the discount, in whole euros.
    price: int


class Cart(TypedDict):
    entries: list[CartEntry]
    total: int
    #: In per cent; it is in the prices already.
    discount: int


@query
async def mine(ctx: QueryCtx) -> Cart:
    """The caller's cart at today's prices; empty for nobody."""
    if ctx.user_id is None:
        return {"entries": [], "total": 0, "discount": 0}
    return await cart_of(ctx, User.id(ctx.user_id))


@mutation
async def put(
    ctx: MutationCtx, product_id: Id[Product], quantity: int, session_id: str | None = None
) -> None:
    """Have this many of a product in the caller's cart; 0 takes it out."""
    ctx.set_session_id(session_id)
    user_id = signed_in(ctx)
    product = await ctx.db.get(product_id)
    if product is None or not 0 <= quantity <= MOST:
        raise ConvexError({"code": "no_such_line", "message": f"0 to {MOST} of a product we have."})
    line = (
        await ctx.db.query(CartLine)
        .with_index("by_user", user_id=user_id, product_id=product_id)
        .unique()
    )
    before = 0 if line is None else line.quantity
    if line is not None and quantity == 0:
        await ctx.db.delete(line._id)
    elif line is not None:
        await ctx.db.patch(line._id, {"quantity": quantity})
    elif quantity:
        await ctx.db.insert(CartLine(user_id=user_id, product_id=product_id, quantity=quantity))
    if quantity > before:
        await posthog.capture(
            ctx, "added_to_cart", properties={"product": product.name, "quantity": quantity}
        )


async def cart_of(ctx: QueryCtx | MutationCtx, user_id: Id[User]) -> Cart:
    """Somebody's cart; the discount is the caller's."""
    percent = await discount(ctx)
    entries: list[CartEntry] = []
    async for line in ctx.db.query(CartLine).with_index("by_user", user_id=user_id):
        product = await ctx.db.get(line.product_id)
        if product is not None:
            price = reduced(product.price, percent) * line.quantity
            entries.append({"product": product, "quantity": line.quantity, "price": price})
    total = sum(entry["price"] for entry in entries)
    return {"entries": entries, "total": total, "discount": percent}


async def empty(ctx: MutationCtx, user_id: Id[User]) -> None:
    """Take everything out."""
    async for line in ctx.db.query(CartLine).with_index("by_user", user_id=user_id):
        await ctx.db.delete(line._id)
