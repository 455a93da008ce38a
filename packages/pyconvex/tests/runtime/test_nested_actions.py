"""Actions that run actions: places in isolates, depth, identity, and limits of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from host_bench import Deployment

from pyconvex.identity import User
from pyconvex.runtime.calls import Failure, Success
from pyconvex.runtime.running import limits
from pyconvex.values import codec

APP = """
import asyncio
from pyconvex import *

@action
async def nested(ctx: ActionCtx, levels: int) -> int:
    return 1 if levels == 1 else 1 + await ctx.run_action(nested, levels=levels - 1)

@action
async def spreads(ctx: ActionCtx, n: int) -> int:
    return sum(await asyncio.gather(*(ctx.run_action(nested, levels=2) for _ in range(n))))

@internal_action
async def who(ctx: ActionCtx) -> str | None:
    return ctx.user_id

@action
async def asks_who(ctx: ActionCtx) -> list[str | None]:
    return [
        await ctx.run_action(who),
        await ctx.run_action(components.mail.lib.acting),
    ]
"""
CONFIG = """
from pyconvex import *
from sample_component import mail
app = define_app()
app.use(mail, env={"TOKEN": "t"})
"""

Deployed = Callable[..., None]
#: More than there are places for actions.
MANY = limits.ACTIONS_PER_ISOLATE * 4 + 4


def value(outcome: Any) -> Any:
    assert isinstance(outcome, Success), outcome
    return codec.decode(outcome.value)


def message(outcome: Any) -> str:
    assert isinstance(outcome, Failure), outcome
    return outcome.message


def test_actions_that_wait_for_actions_take_no_place(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        calls = [d.action("lib:nested", {"levels": 3}) for _ in range(MANY)]
        assert [value(outcome) for outcome in await asyncio.gather(*calls)] == [3] * MANY
        [pool] = d.pools
        assert sum(i.actions for i in pool.isolates) <= 4
        assert all(i.places_taken == 0 for i in pool.isolates)

    deployed(scenario)


def test_one_action_may_run_more_than_there_are_places(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        assert value(await d.action("lib:spreads", {"n": MANY})) == 2 * MANY

    deployed(scenario)


def test_the_ninth_action_within_another_is_refused(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        assert value(await d.action("lib:nested", {"levels": 8})) == 8
        text = message(await d.action("lib:nested", {"levels": 9}))
        assert "depth limit exceeded: 'lib:nested' would be call 9" in text

    deployed(scenario)


def test_the_caller_is_known_to_the_app_and_to_no_component(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP, convex_config=CONFIG)
        ada = User(token_identifier="i|ada", issuer="i", subject="ada", attributes=b"{}")
        call = msgspec.structs.replace(d.call("action", "lib:asks_who"), identity=ada)
        assert value(await d.host.run_action(call)) == ["ada", None]

    deployed(scenario)
