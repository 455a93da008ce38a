"""Flag definitions looked for now: over the component's HTTP route, and by the command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from posthog_convex.cli import main
from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex.testing import ConvexTest, convex_test

SECRET = "a-long-secret"
APP = {
    "convex_config.py": """
from posthog_convex import posthog_component
from pyconvex import define_app

app = define_app(env=posthog_component.declared_env)
app.use(posthog_component, env=app.env, http_prefix="/posthog/")
""",
    "shop.py": """
from posthog_convex import PostHog
from pyconvex import QueryCtx, components, query

posthog = PostHog(components.posthog)


@query
async def price(ctx: QueryCtx) -> bool | str | None:
    return await posthog.get_feature_flag(ctx, "cheap", distinct_id="ada")
""",
}
KEYS = {**ENV, "POSTHOG_PERSONAL_API_KEY": "phx_1"}


def play(
    scenario: Callable[[ConvexTest, PostHogTest], Awaitable[None]], env: dict[str, str]
) -> None:
    async def run() -> None:
        async with convex_test(APP, env=env) as t, posthog_test(t) as posthog:
            await scenario(t, posthog)

    asyncio.run(run())


async def ask(t: ConvexTest, authorization: str | None = f"Bearer {SECRET}") -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await t.fetch("/posthog/refresh-flags", method="POST", headers=headers)


def flag(value: bool) -> str:
    filters = {"groups": [{"properties": [], "rollout_percentage": 100}]}
    return json.dumps({"flags": [{"key": "cheap", "active": value, "filters": filters}]})


def test_a_webhook_brings_the_newest_definitions() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        assert await t.query("shop:price") is None
        posthog._answers.definitions = flag(True)
        answer = await ask(t)
        assert (answer.status, answer.json()["status"]) == (200, "updated")
        assert await t.query("shop:price") is True

    play(scenario, {**KEYS, "POSTHOG_WEBHOOK_SECRET": SECRET})


def test_what_posthog_has_only_a_moment_later_comes_too() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        posthog._answers.definitions = flag(False)
        assert (await ask(t)).json()["status"] == "updated"
        assert (await ask(t)).json()["status"] == "unchanged"
        posthog._answers.definitions = flag(True)
        assert await t.query("shop:price") is False
        await t.advance(seconds=10)
        assert await t.query("shop:price") is True

    play(scenario, {**KEYS, "POSTHOG_WEBHOOK_SECRET": SECRET})


@pytest.mark.parametrize("sent", [None, "", "Bearer wrong", SECRET, "Bearer ", "Bearer \xe9"])
def test_nobody_else_may_ask(sent: str | None) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        posthog._answers.definitions = flag(True)
        answer = await ask(t, sent)
        assert answer.status == 401
        assert "Authorization: Bearer" in answer.text
        assert SECRET not in answer.text
        assert await t.query("shop:price") is None

    play(scenario, {**KEYS, "POSTHOG_WEBHOOK_SECRET": SECRET})


@pytest.mark.parametrize("secret", [{}, {"POSTHOG_WEBHOOK_SECRET": " "}])
def test_without_a_secret_nobody_may(secret: dict[str, str]) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        for sent in (None, "Bearer ", "Bearer  "):
            answer = await ask(t, sent)
            assert answer.status == 403
            assert "POSTHOG_WEBHOOK_SECRET is not set" in answer.text

    play(scenario, {**KEYS, **secret})


def test_why_nothing_was_looked_for_is_told() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        answer = await ask(t)
        assert answer.status == 503
        assert answer.json()["reason"] == "POSTHOG_PERSONAL_API_KEY is not set"

    play(scenario, {**ENV, "POSTHOG_WEBHOOK_SECRET": SECRET})


# The command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and an environment that knows no deployment."""
    for name in ("SELF_HOSTED_URL", "SELF_HOSTED_ADMIN_KEY", "URL", "DEPLOY_KEY"):
        monkeypatch.delenv(f"CONVEX_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refresh(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["flags", "refresh", *arguments])
    return done.exit_code, done.output.strip()


def test_the_command_has_the_component_look(deployed: Any, local: Any, folder: Path) -> None:
    local.set_flag("one")

    async def scenario(app: Any) -> None:
        name_deployment(folder, app)
        status, told = await asyncio.to_thread(refresh)
        assert status == 1
        assert "POSTHOG_PERSONAL_API_KEY is not set" in told
        await app.connect(local)
        await app.set_env(POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS="3600")

        async def is_there() -> bool:
            return bool(await app.query("shop:enabled", {"key": "one"}))

        await app.until("the first definitions", is_there)
        local.set_flag("two")
        newer = "Newer flag definitions have come, and are in force."
        assert await asyncio.to_thread(refresh) == (0, newer)
        assert await app.query("shop:enabled", {"key": "two"}) is True
        status, told = await asyncio.to_thread(refresh)
        assert (status, "newest flag definitions already" in told) == (0, True)
        status, told = await asyncio.to_thread(refresh, "--component", "other")
        assert status == 1
        assert "mounted under that name" in told
        assert app.admin_key not in told

    deployed(scenario)


def name_deployment(folder: Path, app: Any) -> None:
    """As `pyconvex dev` does."""
    lines = [f"CONVEX_SELF_HOSTED_URL={app.url}", f"CONVEX_SELF_HOSTED_ADMIN_KEY='{app.admin_key}'"]
    (folder / ".env.local").write_text("\n".join(lines))


def test_the_command_says_what_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no deployment is known here" in refresh()[1]
    (folder / ".env.local").write_text(
        "CONVEX_SELF_HOSTED_URL=http://127.0.0.1:1\nCONVEX_SELF_HOSTED_ADMIN_KEY=key-of-the-file"
    )
    status, told = refresh("--url", "http://127.0.0.1:2")
    assert (status, "admin key of http://127.0.0.1:2 is not known" in told) == (1, True)
    status, told = refresh()
    assert (status, "could not be reached" in told) == (1, True)
    assert "stay in force" in told
    monkeypatch.setenv("CONVEX_URL", "happy-otter-123.convex.cloud")
    monkeypatch.setenv("CONVEX_DEPLOY_KEY", "key-of-the-environment")
    assert "begins with https://" in refresh()[1]
