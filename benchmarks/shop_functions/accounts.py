"""The shop of the server benchmarks: accounts, and deposits into them.

Owns the same rows and the same work for one request as the FastAPI peers.
"""

from typing import Any

from pyconvex import ConvexError, Document, Id, MutationCtx, QueryCtx, mutation, query


class Account(Document, table="accounts"):
    name: str
    email: str
    balance: float


class Entry(Document, table="entries", indexes={"by_account": ["account"]}):
    account: Id[Account]
    amount: float
    note: str


@query
async def ready(ctx: QueryCtx) -> bool:
    return True


@query
async def read(ctx: QueryCtx, account: Id[Account]) -> Account:
    found = await ctx.db.get(account)
    if found is None:
        raise ConvexError("no such account")
    return found


@mutation
async def deposit(
    ctx: MutationCtx, account: Id[Account], amount: float, note: str
) -> dict[str, float]:
    found = await ctx.db.get(account)
    if found is None:
        raise ConvexError("no such account")
    balance = found.balance + amount
    await ctx.db.patch(account, {"balance": balance})
    await ctx.db.insert(Entry(account=account, amount=amount, note=note))
    return {"balance": balance}


@mutation
async def fill(ctx: MutationCtx, rows: list[dict[str, Any]]) -> list[str]:
    return [await ctx.db.insert(Account(**row)) for row in rows]
