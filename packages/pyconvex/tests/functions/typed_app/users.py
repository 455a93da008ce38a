"""An app as its author writes it. mypy in strict mode must find exactly the marked mistakes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal, NotRequired, TypedDict, assert_type

from pyconvex import (
    UNSET,
    ActionCtx,
    Arg,
    BlockingActionCtx,
    ConvexError,
    Document,
    FunctionHandle,
    HttpActionCtx,
    Id,
    Int64,
    MutationCtx,
    QueryCtx,
    Request,
    Response,
    Retry,
    ScheduledId,
    Value,
    action,
    api,
    components,
    cron_jobs,
    http_action,
    http_router,
    internal_query,
    mutation,
    query,
    v,
)


class User(Document, table="users", indexes={"by_email": ["email"]}):
    name: str
    email: str
    plan: str = "free"


class Address(TypedDict):
    street: str
    zip: NotRequired[str]


@query
async def get(ctx: QueryCtx, user_id: Id[User]) -> User | None:
    return await ctx.db.get(user_id)


@query(name="byEmail", returns=v.any())
async def by_email(
    ctx: QueryCtx, email: str, token: Annotated[str, Arg("authToken")] = ""
) -> Value:
    found = await ctx.db.query(User).with_index("by_email", email=email).unique()
    assert_type(found, User | None)
    async for user in ctx.db.query(User).order("desc"):
        assert_type(user, User)
    young = await ctx.db.query(User).filter(lambda u: u.plan == "free").take(3)
    assert_type(young, list[User])
    await ctx.db.delete("")  # type: ignore[attr-defined]  # a query can't write
    return found.name if found else None


@internal_query
async def count(ctx: QueryCtx) -> int:
    return len(await ctx.db.query(User).collect())


@mutation
async def update_profile(ctx: MutationCtx, plan: Literal["free", "pro"]) -> None:
    if ctx.user_id is None:
        raise ConvexError("Not authenticated")
    await ctx.db.patch(User.id(ctx.user_id), {"plan": plan})
    await ctx.db.patch(User.id(ctx.user_id), {"plan": UNSET})
    await ctx.enqueue("outbox", {"plan": plan})


@mutation(args={"address": v.any()})
async def sign_up(ctx: MutationCtx, name: str, email: str, address: Address) -> Id[User]:
    user_id = await ctx.db.insert(User(name=name, email=email))
    assert_type(user_id, Id[User])
    assert_type(await ctx.run_query(get, user_id), User | None)
    assert_type(await ctx.run_query(count), int)
    await ctx.run_mutation(update_profile, plan="pro")
    await ctx.run_query(api.users.get, {"user_id": user_id})
    await ctx.run_query(components.mail.lib.send, {"to": email})
    if "zip" in address:
        assert_type(address["zip"], str)
    await ctx.run_query(get, 5)  # type: ignore[call-overload]
    await ctx.run_query(update_profile, plan="pro")  # type: ignore[call-overload]
    await ctx.run_mutation(update_profile, plan="gold")  # type: ignore[call-overload]
    await ctx.run_action(nightly)  # type: ignore[attr-defined]
    job = await ctx.scheduler.run_after(0, update_profile, plan="pro")
    assert_type(job, ScheduledId)
    await ctx.scheduler.run_after(timedelta(days=1), nightly, Int64(5))
    await ctx.scheduler.run_at(datetime.now(UTC), api.users.get, {"user_id": user_id})
    await ctx.scheduler.with_retry(Retry(max_attempts=3)).run_after(0, nightly)
    await ctx.scheduler.cancel(job)
    await ctx.scheduler.run_after(0, update_profile, plan="gold")  # type: ignore[call-overload]
    await ctx.scheduler.run_after(0, get, user_id)  # type: ignore[call-overload]
    User(name=name)  # type: ignore[call-arg]
    return user_id


@action
async def nightly(ctx: ActionCtx, big: Int64 | None = None) -> int:
    await ctx.run_mutation(update_profile, plan="free")
    assert_type(await ctx.run_action(nightly, Int64(5)), int)
    await ctx.scheduler.run_after(60, update_profile, plan="free")
    _ = ctx.db  # type: ignore[attr-defined]  # actions have no database of their own
    return await ctx.run_query(count)


@mutation
async def with_handle(ctx: MutationCtx, callback: FunctionHandle) -> FunctionHandle:
    handle = ctx.create_function_handle(count)
    assert_type(handle, FunctionHandle)
    await ctx.run_query(handle)
    await ctx.run_mutation(callback, {"plan": "pro"})
    await ctx.scheduler.run_after(0, callback, {"plan": "pro"})
    await ctx.run_query("users:get")  # type: ignore[call-overload]  # text is no handle
    return ctx.create_function_handle(api.users.get)


async def audit(ctx: ActionCtx, what: str) -> int:
    return len(what)


@action
def charge(ctx: BlockingActionCtx, cents: int, user_id: Id[User]) -> str:
    assert_type(ctx.run_query(get, user_id), User | None)
    assert_type(ctx.run_action(nightly, Int64(5)), int)
    assert_type(ctx.run_async(audit, "charged"), int)
    ctx.run_mutation(update_profile, plan="pro")
    ctx.run_mutation(update_profile, plan="gold")  # type: ignore[call-overload]
    ctx.run_query(api.users.get, {"user_id": user_id})
    ctx.scheduler.run_after(5, update_profile, plan="free")
    ctx.scheduler.run_after(5, update_profile, plan="gold")  # type: ignore[call-overload]
    return "paid"


@action(name="refund")
def refund(ctx: BlockingActionCtx, cents: int) -> str:
    return "refunded"


@action
async def pays(ctx: ActionCtx, user_id: Id[User]) -> str:
    assert_type(await ctx.run_action(refund, 5), str)
    await ctx.run_action(charge, cents="5", user_id=user_id)  # type: ignore[call-overload]
    return await ctx.run_action(charge, 5, user_id)


http = http_router()


@http.route(path="/hook", method="POST")
async def hook(ctx: HttpActionCtx, request: Request) -> Response:
    assert_type(await ctx.run_action(nightly, None), int)
    assert_type(await request.text(), str)
    assert_type(request.query.get("q"), str | None)
    return Response.json({"ok": True})


@http_action
async def page(ctx: HttpActionCtx, request: Request) -> Response:
    return Response("hello", headers={"set-cookie": ["a=1", "b=2"]})


http.route(path_prefix="/pages/", method="GET", handler=page)
http.route(path="/a", path_prefix="/b/", method="GET", handler=page)  # type: ignore[call-overload]


@http.route(path="/wrong", method="GET")  # type: ignore[arg-type]
async def no_response(ctx: HttpActionCtx, request: Request) -> str:
    return "hello"


@query  # type: ignore[arg-type]
def plain(ctx: QueryCtx) -> None: ...


@query  # type: ignore[arg-type]
async def wrong_context(ctx: MutationCtx) -> None: ...


crons = cron_jobs()
crons.interval("a", timedelta(minutes=1), update_profile, plan="free")
crons.daily("b", time(1, 30), nightly, Int64(5))
crons.weekly("c", "monday", 3, api.users.nightly, {"big": Int64(5)})
crons.interval("d", 60, update_profile, plan="gold")  # type: ignore[call-overload]
crons.hourly("e", None, get, "id")  # type: ignore[call-overload]
crons.weekly("f", "moonday", 3, nightly)  # type: ignore[call-overload]
