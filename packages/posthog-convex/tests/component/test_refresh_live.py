"""The refresh from end to end, against a PostHog Local that fails as PostHog does."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

DEFINITIONS = "/flags/definitions"


async def status(app: Any) -> dict[str, Any]:
    found: dict[str, Any] = await app.call("query", "status")
    return found


async def enabled(app: Any, key: str) -> Any:
    return await app.call("query", "is_feature_enabled", key, distinct_id="u")


async def is_on(app: Any, key: str) -> None:
    async def on() -> bool:
        return await enabled(app, key) is True

    await app.until(f"flag {key!r}", on)


def looks(local: Any) -> int:
    """How many requests for definitions were made since `count_looks`."""
    return sum(int(fault["hits"]) for fault in local.faults())


def count_looks(local: Any) -> None:
    local.add_fault(DEFINITIONS, latency_ms=1)


async def some_looks(app: Any, local: Any, count: int) -> None:
    async def made() -> bool:
        return looks(local) >= count

    await app.until(f"{count} looks", made)


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ({"status": 402}, "billing"),
        ({"status": 401}, "POSTHOG_PERSONAL_API_KEY"),
        ({"status": 429}, "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS"),
        ({"status": 503, "body": "Required data no flags yet"}, "no flags yet"),
        ({"lose_response": True}, ""),
    ],
)
def test_trouble_keeps_what_was_known_and_tells_its_age(
    deployed: Any, local: Any, fault: dict[str, Any], advice: str
) -> None:
    local.set_flag("kept")

    async def scenario(app: Any) -> None:
        await app.connect(local)
        await is_on(app, "kept")
        local.add_fault(DEFINITIONS, **fault)
        local.set_flag("new")

        async def failing() -> Any:
            found = await status(app)
            return found if found["poll"] == "failing" else None

        found = await app.until("the failure", failing)
        assert advice in found["error"]
        confirmed, since = (found[name] for name in ("confirmed_at", "failing_since"))
        assert datetime.fromisoformat(confirmed) <= datetime.fromisoformat(since)
        assert found["flags"] == 1
        before = app.visible_ts
        await some_looks(app, local, looks(local) + 1)
        assert app.visible_ts == before, "one trouble was written twice"
        assert await enabled(app, "kept") is True
        assert await enabled(app, "new") is None
        again = await status(app)
        assert again["confirmed_at"] == found["confirmed_at"]
        local.clear_faults()
        await is_on(app, "new")

        async def fine() -> bool:
            return (await status(app))["poll"] == "fine"

        await app.until("the end of the trouble", fine)
        assert (await status(app))["error"] is None

    deployed(scenario)


def test_nothing_new_writes_nothing(deployed: Any, local: Any) -> None:
    local.set_flag("one")

    async def scenario(app: Any) -> None:
        await app.connect(local)
        await is_on(app, "one")
        count_looks(local)
        before = app.visible_ts
        await some_looks(app, local, 3)
        assert app.visible_ts == before

    deployed(scenario)


def test_without_a_key_there_is_no_request(deployed: Any, local: Any) -> None:
    local.set_flag("one")

    async def scenario(app: Any) -> None:
        local.add_fault("/", latency_ms=1)
        await app.connect(local, key=False)
        assert await enabled(app, "one") is None
        assert "POSTHOG_PERSONAL_API_KEY" in app.log[0]
        # What was captured after the variables were set leaves after any look would have.
        await app.call("mutation", "capture", "proof", distinct_id="u")
        await asyncio.to_thread(local.wait_for_event, "proof", timeout=20)
        assert looks(local) == 1, "only the batch of events"
        await app.set_env(POSTHOG_PERSONAL_API_KEY=local.personal_api_key)
        await is_on(app, "one")

    deployed(scenario)


def test_variables_are_followed_without_a_deploy(deployed: Any, local: Any) -> None:
    local.set_flag("one")

    async def scenario(app: Any) -> None:
        await app.connect(local)
        await is_on(app, "one")
        count_looks(local)
        await app.set_env(POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS="3600")
        await some_looks(app, local, 1)
        assert (await status(app))["poll_interval_s"] == 3600
        made = looks(local)
        # The next look would be an hour from now; another change of variables brings it about.
        local.set_flag("two")
        await app.set_env(POSTHOG_PERSONAL_API_KEY=local.secret_key)
        await is_on(app, "two")
        assert looks(local) >= made + 1
        await app.set_env(POSTHOG_PERSONAL_API_KEY="phx_wrong")

        async def refused() -> bool:
            return "phs_" in ((await status(app))["error"] or "")

        await app.until("the refusal", refused)
        await app.set_env(POSTHOG_PERSONAL_API_KEY=None)
        assert (await status(app))["poll"] == "no_key"
        assert await enabled(app, "two") is True

    deployed(scenario)


def test_a_subscriber_sees_its_flag_change(deployed: Any, local: Any) -> None:
    local.set_flag("mine")
    local.set_flag("other")

    async def scenario(app: Any) -> None:
        await app.connect(local)
        await is_on(app, "mine")
        ask = {"method": "is_feature_enabled", "arguments": ["mine"]}
        settle = app.watch("shop:in_query", {**ask, "options": {"distinct_id": "u"}})
        first = await settle()
        local.set_flag("other", active=False)

        async def other_is_off() -> bool:
            return await enabled(app, "other") is False

        await app.until("the other flag's change", other_is_off)
        assert await settle() is first
        local.set_flag("mine", active=False)

        async def changed() -> bool:
            return (await settle()).outcome.value == b"false"

        await app.until("the change", changed)

    deployed(scenario)
