"""Testing your functions: the engine that serves them, in your test's own process.

`convex_test` runs an app with the real transactions, conflicts, subscriptions and validation, on
the event loop of the test: no port, no other process, a clock that you move. It works with
pytest-asyncio, anyio's pytest plugin on asyncio, and plain `asyncio.run`.

>>> import asyncio
>>> source = '''
... from pyconvex import Document, MutationCtx, QueryCtx, mutation, query
...
... class User(Document, table="users"):
...     name: str
...
... @mutation
... async def sign_up(ctx: MutationCtx, name: str) -> str:
...     return await ctx.db.insert(User(name=name))
...
... @query
... async def names(ctx: QueryCtx) -> list[str]:
...     return [user.name async for user in ctx.db.query(User)]
... '''
>>> async def test_sign_up() -> None:
...     async with convex_test({"users.py": source}) as t:
...         names = t.subscribe("users:names")
...         assert await anext(names) == []
...         await t.mutation("users:sign_up", name="Ada")
...         assert await anext(names) == ["Ada"]
>>> asyncio.run(test_sign_up())
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyconvex.runtime.app.loader import SourceError
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.settings.environment import MissingVariablesError
from pyconvex.testing.apps import App
from pyconvex.testing.caller import Caller
from pyconvex.testing.deployment import ConvexTest
from pyconvex.testing.failures import FunctionFailed
from pyconvex.testing.fetch import Fetched
from pyconvex.testing.subscription import Subscription


def convex_test(
    app: App,
    *,
    env: Mapping[str, str] | None = None,
    now: datetime | None = None,
    seed: int = 0,
) -> ConvexTest:
    """A deployment of `app` for one test: `async with convex_test("convex") as t`.

    `app` is a functions folder, source texts by file name, a list of modules that the test has
    imported, or what `define_app` returned (to test a component without an app around it). `env`
    are the app's variables. `now` is where the virtual clock starts, by default at the real time;
    `seed` decides document ids and what functions draw at random, so equal tests get equal ids.

    Entering raises `SourceError`, `AppLoadError` or `MissingVariablesError` as a deploy does.
    """
    return ConvexTest(app, env or {}, now, seed)


__all__ = [
    "App",
    "AppLoadError",
    "Caller",
    "ConvexTest",
    "Fetched",
    "FunctionFailed",
    "HostError",
    "MissingVariablesError",
    "SourceError",
    "Subscription",
    "convex_test",
]
