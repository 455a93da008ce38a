"""Tests as an app's author writes them; each marked mistake is one that mypy finds."""

from typing import Any, assert_type

import kit_users as users

from pyconvex import Id, MutationCtx, api
from pyconvex.testing import Caller, ConvexTest, Subscription, convex_test


async def check_types() -> None:
    async with convex_test([users], env={"NAME": "value"}) as t:
        assert_type(t, ConvexTest)
        user_id = await t.mutation(users.sign_up, name="Ada")
        assert_type(user_id, Id[users.User])
        assert_type(await t.query(users.get, user_id), users.User | None)
        assert_type(await t.action(users.greet, name="Ada"), str)
        assert_type(t.subscribe(users.get, user_id), Subscription[users.User | None])
        assert_type(await t.query("users:get", user_id=user_id), Any)
        assert_type(await t.query(api.users.get, {"user_id": user_id}), Any)
        assert_type(t.with_identity(subject="ada", name="Ada", admin=True), Caller)
        async for user in t.subscribe(users.get, user_id):
            assert_type(user, users.User | None)

        async def count(ctx: MutationCtx) -> int:
            return len(await ctx.db.query(users.User).collect())

        assert_type(await t.run(count), int)
        t.conflict_next(users.sign_up, times=2)


async def check_mistakes(t: ConvexTest) -> None:
    await t.mutation(users.sign_up, nam="Ada")  # type: ignore[call-overload]
    await t.mutation(users.sign_up, name=1)  # type: ignore[call-overload]
    await t.query(users.sign_up, name="Ada")  # type: ignore[call-overload]
    convex_test(1)  # type: ignore[arg-type]
