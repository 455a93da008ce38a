"""A shop's functions, which tell something of every kind."""

from __future__ import annotations

from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    MutationCtx,
    QueryCtx,
    action,
    internal_mutation,
    mutation,
    query,
)


class Order(Document, table="orders"):
    item: str
    amount: int


@query
async def open_orders(ctx: QueryCtx) -> int:
    return len(await ctx.db.query(Order).collect())


@query
async def who_am_i(ctx: QueryCtx) -> str | None:
    return ctx.user_id


@mutation
async def place(ctx: MutationCtx, item: str, amount: int = 1) -> None:
    print(f"placing {amount} × {item}")
    if amount > 10:
        ctx.log("warn", f"a large order: {amount}")
    try:
        check_stock(item)
    except KeyError as error:
        raise OutOfStock(f"{item} is not on the shelf") from error
    await ctx.db.insert(Order(item=item, amount=amount))


@mutation
async def refuse(ctx: MutationCtx, why: str) -> None:
    raise ConvexError({"code": "REFUSED", "why": why})


@action
async def count_stock(ctx: ActionCtx) -> int:
    print("counting")
    await ctx.run_mutation(note, text="<b>stock</b> counted")
    return len(STOCK)


@internal_mutation
async def note(ctx: MutationCtx, text: str) -> None:
    print(text)


@mutation
async def remind(ctx: MutationCtx, text: str) -> None:
    await ctx.scheduler.run_after(3600, note, text=text)


class OutOfStock(Exception):
    pass


STOCK = {"plush hedgehog": 3, "mug": 12}


def check_stock(item: str) -> int:
    return STOCK[item]
