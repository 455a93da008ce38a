"""Events from HTTP actions, and from actions that are plain functions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pyconvex.testing import convex_test

CONFIG = """
from pyconvex import *
from posthog_convex import posthog_component
app = define_app(env={"POSTHOG_PROJECT_TOKEN": v.string()})
app.use(posthog_component, env=app.env)
"""
APP = """
from pyconvex import *
from posthog_convex import PostHog
posthog = PostHog(components.posthog)
http = http_router()

@http.route(path="/hook", method="POST")
async def hook(ctx: HttpActionCtx, request: Request) -> Response:
    await posthog.capture(ctx, "hooked", distinct_id=await request.text())
    return Response()

@action
def charge(ctx: BlockingActionCtx) -> None:
    ctx.run_async(posthog.capture, "charged", properties={"cents": 5})
"""


def test_both_capture() -> None:
    async def main() -> None:
        env = {"POSTHOG_PROJECT_TOKEN": "phc_x"}
        async with convex_test({"convex_config.py": CONFIG, "http.py": APP}, env=env) as t:
            await t.fetch("/hook", method="POST", body="bob")
            # A webhook's secret is no credential of this deployment, and no reason to fail.
            secret = {"Authorization": "Bearer of.the.webhook"}
            await t.fetch("/hook", method="POST", body="eve", headers=secret)
            await t.with_identity(subject="ada").action("http:charge")
            events: list[Any] = t.queue("events", component="posthog")
            assert [(e["event"], e["distinct_id"]) for e in map(json.loads, events)] == [
                ("hooked", "bob"),
                ("hooked", "eve"),
                ("charged", "ada"),
            ]

    asyncio.run(main())
