from posthog_convex import PostHog
from pyconvex import Document, MutationCtx, QueryCtx, components, mutation, query

posthog = PostHog(components.posthog)


class Order(Document, table="orders", indexes={"by_number": ["number"]}):
    number: int


@mutation
async def place(ctx: MutationCtx, number: int, customer: str) -> None:
    await ctx.db.insert(Order(number=number))
    await posthog.capture(ctx, "order_placed", distinct_id=customer, properties={"number": number})


@mutation
async def place_and_fail(ctx: MutationCtx, number: int, customer: str) -> None:
    await ctx.run_mutation(place, number=number, customer=customer)
    raise RuntimeError("after the capture")


@query
async def numbers(ctx: QueryCtx) -> list[int]:
    return [order.number for order in await ctx.db.query(Order).with_index("by_number").collect()]
