"""What is on the shelves, and what it costs whom."""

from typing import TypedDict

from pyconvex import Document, Id, MutationCtx, QueryCtx, internal_mutation, query

from .posthog import posthog


class Product(Document, table="products", indexes={"by_rank": ["rank"]}):
    name: str
    about: str
    #: Which of the page's drawings shows it.
    picture: str
    #: In whole euros, before any discount.
    price: int
    #: Its place on the shelf.
    rank: int


class Offer(TypedDict):
    """A product as the caller sees it."""

    product: Product
    #: What the caller pays, in whole euros.
    price: int


#: Name, about, picture, price.
SHELF = (
    ("Winter house", "Dry, dark, and built to be slept in.", "house", 100),
    ("Leaf bed", "A sack of beech leaves, shaken twice.", "leaf", 20),
    ("Water bowl", "Flat enough for short legs.", "bowl", 30),
    ("Garden gate", "Thirteen centimetres of right of way.", "gate", 50),
    ("Night lamp", "Red light, for those who only watch.", "lamp", 40),
    ("Field guide", "Tracks, sounds and manners.", "book", 10),
)


@internal_mutation
async def stock(ctx: MutationCtx) -> int:
    """Fill empty shelves; how many products there are."""
    if present := await ctx.db.query(Product).collect():
        return len(present)
    for rank, (name, about, picture, price) in enumerate(SHELF):
        product = Product(name=name, about=about, picture=picture, price=price, rank=rank)
        await ctx.db.insert(product)
    return len(SHELF)


@query
async def offers(ctx: QueryCtx) -> list[Offer]:
    """Every product at the caller's price; runs again by itself when the flag changes."""
    percent = await discount(ctx)
    products = await ctx.db.query(Product).with_index("by_rank").collect()
    return [{"product": one, "price": reduced(one.price, percent)} for one in products]


@query
async def offer(ctx: QueryCtx, product_id: Id[Product]) -> Offer | None:
    """One product at the caller's price; None when there is no such product."""
    product = await ctx.db.get(product_id)
    if product is None:
        return None
    return {"product": product, "price": reduced(product.price, await discount(ctx))}


async def discount(ctx: QueryCtx) -> int:
    """The caller's discount in per cent: a multivariate flag decides, and nobody has none."""
    if ctx.user_id is None:
        return 0
    match await posthog.get_feature_flag(ctx, "discount-campaign"):
        case "variant-a":
            return 20
        case "variant-b":
            return 10
        case _:
            return 0


def reduced(price: int, percent: int) -> int:
    """A price after the discount, in whole euros."""
    return price - price * percent // 100
