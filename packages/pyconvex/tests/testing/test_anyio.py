"""The kit under anyio, as its pytest plugin runs tests: on asyncio, and a sentence on trio."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from pyconvex.testing import convex_test

Notes = Mapping[str, str]


def test_it_runs_under_anyio(notes: Notes) -> None:
    async def scenario() -> None:
        async with convex_test(notes) as t, anyio.create_task_group() as tasks:
            texts = t.subscribe("notes:texts")
            assert await anext(texts) == []
            tasks.start_soon(lambda: t.mutation("notes:add", text="a"))
            with anyio.fail_after(5):
                assert await anext(texts) == ["a"]
                await t.action("notes:work", text="b")
            await t.drain()

    anyio.run(scenario, backend="asyncio")


def test_a_cancelled_scope_leaves_the_deployment_usable(notes: Notes) -> None:
    async def scenario() -> None:
        async with convex_test(notes) as t:
            texts = t.subscribe("notes:texts")
            await anext(texts)
            with anyio.move_on_after(0.01) as scope:
                await anext(texts)
            assert scope.cancelled_caught
            await t.mutation("notes:add", text="a")
            assert await anext(texts) == ["a"]

    anyio.run(scenario, backend="asyncio")
