from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pyconvex import (
    ActionCtx,
    Arg,
    Document,
    Id,
    Int64,
    MutationCtx,
    PaginationOptions,
    PaginationResult,
    QueryCtx,
    action,
    internal_mutation,
    mutation,
    query,
)


class Address(TypedDict):
    street: str
    city: NotRequired[str]


class User(Document, table="users", indexes={"by_email": ["email"], "by_city": ["address.city"]}):
    name: str
    email: str
    address: Address
    plan: Literal["free", "pro"] = "free"
    nickname: str | None = None


class Order(Document, table="orders"):
    user: Id[User]
    units: Int64
    receipt: bytes
    prices: dict[str, float]
    tags: list[str]
    extra: Any


@query
async def viewer(ctx: QueryCtx) -> User | None:
    return await ctx.db.query(User).first()


@query
async def user(ctx: QueryCtx, user_id: Id[User]) -> User | None:
    return await ctx.db.get(user_id)


@query
async def orders(
    ctx: QueryCtx, user: Id[User], pagination_opts: PaginationOptions
) -> PaginationResult[Order]:
    return await ctx.db.query(Order).paginate(pagination_opts)


@query(name="topCustomers")
async def top_customers(
    ctx: QueryCtx, limit: int = 10, plan: Literal["free", "pro"] | None = None
) -> list[User]:
    return await ctx.db.query(User).take(limit)


@mutation
async def buy(
    ctx: MutationCtx,
    user: Id[User],
    units: Int64,
    receipt: bytes,
    prices: dict[str, float],
    note: str = "",
) -> Id[Order]:
    return await ctx.db.insert(
        Order(user=user, units=units, receipt=receipt, prices=prices, tags=[], extra=note)
    )


@action
async def refresh(ctx: ActionCtx, token: Annotated[str, Arg("refreshToken")]) -> dict[str, Int64]:
    return {token: Int64(1)}


@internal_mutation
async def cleanup(ctx: MutationCtx) -> None: ...
