"""Errors and exposures from end to end: through the run log and its lane into PostHog Local."""

from __future__ import annotations

from typing import Any

import pytest

from posthog_local.testing import PostHogLocal


async def arrived(app: Any, local: PostHogLocal, name: str, count: int) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]] | None:
        found = local.events(event=name)
        return found if len(found) >= count else None

    found: list[dict[str, Any]] = await app.until(f"{count} times {name}", enough)
    return found


def test_errors_arrive_although_the_mutation_rolled_back(deployed: Any, local: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.connect(local, key=False)
        asked = {"then": "raise", "options": {"additional_properties": {"order": 7}}}
        await app.fails("mutation", "shop:fail_in_mutation", asked)
        await app.fails("query", "shop:plain_failure", {})
        await app.mutation("shop:report_what_is_handled")
        found = await arrived(app, local, "$exception", 3)
        by_function = {e["properties"]["convex_function"]: e["properties"] for e in found}
        assert by_function.keys() == {
            "shop:fail_in_mutation",
            "shop:plain_failure",
            "shop:report_what_is_handled",
        }
        assert by_function["shop:fail_in_mutation"]["order"] == 7
        # The same line raised them all, called from three functions.
        issues = local.issues()
        assert len(issues) == 3
        assert {issue["name"] for issue in issues} == {"ValueError"}
        assert len(found) == 3
        assert local.events(event="tried") == []

    deployed(scenario)


def test_exposures_of_queries_arrive_once(deployed: Any, local: Any) -> None:
    local.set_flag("beta")

    async def scenario(app: Any) -> None:
        await app.connect(local)

        async def on() -> bool:
            return await app.query("shop:flag_often", {"key": "beta"}) is True

        await app.until("the flag", on)
        await arrived(app, local, "$feature_flag_called", 1)
        await app.mutation("shop:expose_by_hand", {"key": "beta", "fail": False})
        await app.call("query", "get_feature_flag", "beta", distinct_id="eve")
        found = await arrived(app, local, "$feature_flag_called", 2)
        assert sorted(e["distinct_id"] for e in found) == ["eve", "u"]

    deployed(scenario)


@pytest.mark.parametrize("fault", [{"status": 503}, {"lose_response": True}])
def test_trouble_delays_reports_and_loses_none(deployed: Any, local: Any, fault: Any) -> None:
    async def scenario(app: Any) -> None:
        local.add_fault("/batch", times=2, **fault)
        await app.connect(local, key=False)
        for _ in range(3):
            await app.mutation("shop:report_what_is_handled")
        found = await arrived(app, local, "$exception", 3)
        assert len({e["uuid"] for e in found}) == len(found) == 3

    deployed(scenario)


def test_uncaught_errors_are_left_out_when_that_is_switched_off(deployed: Any, local: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.connect(local, key=False, POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE="true")
        await app.fails("query", "shop:plain_failure", {})
        await app.mutation("shop:report_what_is_handled")
        (event,) = await arrived(app, local, "$exception", 1)
        assert event["properties"]["convex_function"] == "shop:report_what_is_handled"

    deployed(scenario)
