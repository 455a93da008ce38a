"""Function handles: what they stand for, for how long, and that nobody can make one up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from host_bench import Bench, Deployment

from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.calls import Failure, Success
from pyconvex.values import codec

APP = """
from pyconvex import *
from typing import Any

@internal_mutation
async def paid(ctx: MutationCtx, order: str) -> str:
    await ctx.db.insert("paid", {"order": order})
    return f"paid {order}"

@internal_query
async def orders(ctx: QueryCtx) -> list[str]:
    return [row["order"] for row in await ctx.db.query("paid").collect()]

@query
async def handles(ctx: QueryCtx) -> list[FunctionHandle]:
    return [
        ctx.create_function_handle(paid),
        ctx.create_function_handle(internal.lib.orders),
        ctx.create_function_handle(components.mail.lib.sent),
    ]

@query
async def can_not(ctx: QueryCtx, which: str) -> str:
    targets = {"internal": components.mail.lib.hidden, "missing": api.lib.nope}
    return ctx.create_function_handle(targets[which])

@mutation
async def through_a_component(ctx: MutationCtx, order: str) -> str:
    arguments = {"handle": ctx.create_function_handle(paid), "order": order}
    return await ctx.run_mutation(components.mail.lib.calls_back, arguments)

@query
async def by_handle(ctx: QueryCtx, handle: FunctionHandle) -> Any:
    return await ctx.run_query(handle)

@mutation
async def wrong_kind(ctx: MutationCtx) -> Any:
    return await ctx.run_query(ctx.create_function_handle(paid), {"order": "1"})

@action
async def in_action(ctx: ActionCtx) -> Any:
    handle = ctx.create_function_handle(internal.lib.paid)
    await ctx.scheduler.run_after(0, handle, {"order": "later"})
    return [await ctx.run_mutation(handle, {"order": "a"}), handle]

@action
def in_thread(ctx: BlockingActionCtx) -> Any:
    return ctx.run_query(ctx.create_function_handle(orders))

@mutation
async def schedules(ctx: MutationCtx) -> None:
    await ctx.scheduler.run_after(0, ctx.create_function_handle(paid), order="scheduled")
"""
CONFIG = """
from pyconvex import *
from sample_component import mail
app = define_app()
app.use(mail, env={"TOKEN": "t"})
"""

Analysed = Callable[..., AppImage]
Deployed = Callable[..., None]


@pytest.fixture
def app(bench: Bench, analysed: Analysed) -> Bench:
    bench.deploy(analysed(lib=APP, convex_config=CONFIG))
    return bench


def test_one_stands_for_a_function_and_stays_the_same(app: Any, analysed: Analysed) -> None:
    first = app.run("lib:handles").value
    places = ["lib:paid", "lib:orders", "mail:lib:sent"]
    assert [handle.partition("#")[2] for handle in first] == places
    assert all(handle.startswith("function://") for handle in first)
    assert len({handle[:44] for handle in first}) == 3
    app.deploy(analysed(lib=APP + "\nx = 1", convex_config=CONFIG))
    assert app.run("lib:handles").value == first


def test_a_component_calls_back(app: Any) -> None:
    assert app.mutate("lib:through_a_component", {"order": "7"}).value == "paid 7"
    assert app.run("lib:orders", public_only=False).value == ["7"], "in the app's table"


def test_it_reaches_internal_functions_and_other_components(app: Any) -> None:
    _, orders, sent = app.run("lib:handles").value
    assert app.run("lib:by_handle", {"handle": orders}).value == []
    assert app.run("lib:by_handle", {"handle": sent}).value == []


def test_rules_hold(app: Any) -> None:
    assert "Trying to execute lib:paid as Query" in app.mutate("lib:wrong_kind").error
    text = app.run("lib:can_not", {"which": "internal"}).error
    assert "Child component 'mail' does not export 'lib:hidden'" in text
    assert (
        "Could not find function for 'lib:nope'"
        in app.run("lib:can_not", {"which": "missing"}).error
    )


def test_nobody_makes_one_up(app: Any) -> None:
    paid, orders, _ = app.run("lib:handles").value
    forged = paid.partition("#")[0] + "#lib:orders"
    for handle in ["function://", "function://x", f"function://{'a' * 32}#lib:orders", forged]:
        assert "Function handle not found" in app.run("lib:by_handle", {"handle": handle}).error
    assert app.run("lib:by_handle", {"handle": orders}).value == []
    text = app.run("lib:by_handle", {"handle": "lib:orders"}).error
    assert "is no function to run" in text


def test_it_ends_with_its_function_and_comes_back_with_it(app: Any, analysed: Analysed) -> None:
    handle = app.run("lib:handles").value[1]
    without = APP.replace("async def orders(", "async def renamed(").replace(
        "lib.orders", "lib.paid"
    )
    without = without.replace(
        "ctx.create_function_handle(orders)", "ctx.create_function_handle(paid)"
    )
    app.deploy(analysed(lib=without, convex_config=CONFIG))
    gone = app.run("lib:by_handle", {"handle": handle})
    assert "Function handle not found" in gone.error
    before = app.store.visible_ts
    app.deploy(analysed(lib=APP, convex_config=CONFIG))
    assert app.committer.log.first_overlap(gone.reads, before) is not None, "who waits is told"
    assert app.run("lib:by_handle", {"handle": handle}).value == []


def test_actions_and_the_scheduler_take_them(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP, convex_config=CONFIG)
        outcome = await d.action("lib:in_action")
        assert isinstance(outcome, Success), outcome
        said, handle = codec.decode(outcome.value)
        assert said == "paid a"
        handles = await d.query("lib:handles")
        assert codec.decode(handles.value)[0] == handle, "everywhere the same"
        assert isinstance(await d.mutation("lib:schedules"), Success)
        assert isinstance(await d.query("lib:orders"), Failure), "internal"
        wanted = {"a", "later", "scheduled"}
        while set(codec.decode((await d.action("lib:in_thread")).value)) != wanted:
            await asyncio.sleep(0.01)

    deployed(scenario)
