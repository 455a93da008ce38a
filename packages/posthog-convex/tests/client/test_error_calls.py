"""Errors: reported by hand and by themselves, from every kind of function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

KINDS = ("query", "mutation", "action")


def run(functions: Path, scenario: Callable[[ConvexTest, PostHogTest], Awaitable[None]]) -> None:
    async def main() -> None:
        async with convex_test(functions, env=ENV) as t, posthog_test(t) as posthog:
            await scenario(t, posthog)

    asyncio.run(main())


def first(event: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = event["properties"]["$exception_list"][0]
    return entry


@pytest.mark.parametrize("kind", KINDS)
def test_a_caught_error_is_reported(functions: Path, kind: str) -> None:
    options = {"distinct_id": "ada", "additional_properties": {"order": 7}}

    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        asked = {"then": "go on", "options": options}
        uuid = await getattr(t, kind)(f"shop:fail_in_{kind}", asked)
        (event,) = posthog.exceptions
        assert event["uuid"] == uuid
        assert event["distinct_id"] == "ada"
        properties = event["properties"]
        assert properties["order"] == 7
        assert properties["$exception_level"] == "error"
        assert properties["$lib"] == "posthog-convex-python"
        assert properties["convex_function"] == f"shop:fail_in_{kind}"
        assert properties["convex_function_type"] == kind
        entry = first(event)
        assert (entry["type"], entry["value"]) == ("ValueError", "declined 7, 20")
        assert entry["mechanism"]["handled"] is True
        frames = entry["stacktrace"]["frames"]
        assert [(f["filename"], f["function"], f["in_app"]) for f in frames] == [
            ("shop.py", "report", True),
            ("shop.py", "pay", True),
        ]
        assert 'raise ValueError(f"declined' in frames[-1]["context_line"]
        assert "code_variables" not in frames[-1]

    run(functions, scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_reported_and_raised_on_it_stays_one_event(functions: Path, kind: str) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        asked = {"then": "raise", "options": {"additional_properties": {"order": 7}}}
        with pytest.raises(FunctionFailed):
            await getattr(t, kind)(f"shop:fail_in_{kind}", asked)
        (event,) = posthog.exceptions
        assert event["properties"]["order"] == 7
        assert posthog.events == []  # what the mutation captured rolled back

    run(functions, scenario)


def test_another_error_that_it_caused_is_another_event(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.mutation("shop:fail_in_mutation", then="another", options={})
        by_hand, uncaught = posthog.exceptions
        assert first(by_hand)["type"] == "ValueError"
        assert [e["type"] for e in uncaught["properties"]["$exception_list"]] == [
            "RuntimeError",
            "ValueError",
        ]
        assert by_hand["uuid"] != uncaught["uuid"]

    run(functions, scenario)


def test_an_uncaught_error_needs_no_call_and_groups_with_the_same_by_hand(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.query("shop:plain_failure")
        await t.mutation("shop:report_what_is_handled")
        uncaught, by_hand = posthog.exceptions
        frames = [first(e)["stacktrace"]["frames"] for e in (uncaught, by_hand)]
        assert [f["function"] for f in frames[0]] == ["plain_failure", "pay"]
        assert [f["function"] for f in frames[1]] == ["report_what_is_handled", "pay"]
        same = ("filename", "function", "module", "in_app", "context_line", "lineno", "abs_path")
        assert [frames[0][-1][k] for k in same] == [frames[1][-1][k] for k in same]
        assert [first(e)["mechanism"]["handled"] for e in (uncaught, by_hand)] == [False, True]

    run(functions, scenario)


def test_what_an_action_called_and_could_not_catch_is_one_event(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.action("shop:call_failing", path="raise")
        (event,) = posthog.exceptions
        assert event["properties"]["convex_function"] == "shop:fail_in_mutation"

    run(functions, scenario)


def test_whose_error_it_is(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        ada = t.with_identity(subject="ada")
        asked = {"then": "go on", "options": {}}
        for path in ("fail_in_mutation", "fail_in_own_query", "fail_in_query"):
            await getattr(ada, "query" if "query" in path else "mutation")(f"shop:{path}", asked)
        await t.mutation("shop:fail_in_mutation", asked)
        mutation, own_query, query, nobody = posthog.exceptions
        assert [e["distinct_id"] for e in (mutation, own_query)] == ["ada", "ada"]
        for event in (query, nobody):
            assert event["distinct_id"] == event["properties"]["convex_request_id"]
            assert event["properties"]["$process_person_profile"] is False

    run(functions, scenario)


def test_reporting_makes_no_query_anybodys(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        asked = {"then": "go on", "options": {}}
        uuids = [
            await t.with_identity(subject=name).query("shop:fail_in_query", asked)
            for name in ("ada", "eve")
        ]
        assert len(set(uuids)) == 1, "it ran once for each person"
        assert len(posthog.exceptions) == 1

    run(functions, scenario)


def test_a_hook_that_drops_it_drops_the_automatic_report_too(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.mutation("shop:fail_hooked", then="raise", options={})
        assert posthog.exceptions == []

    run(functions, scenario)


def test_variables_are_shown_masked_when_asked_for(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.mutation("shop:fail_shown", then="go on", options={"distinct_id": "u"})
        (event,) = posthog.exceptions
        shown = first(event)["stacktrace"]["frames"][-1]["code_variables"]
        masked = "$$_posthog_redacted_based_on_masking_rules_$$"
        assert shown == {"order": 7, "api_key": masked}

    run(functions, scenario)


def test_an_error_that_was_never_raised_has_the_callers_frames(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.mutation("shop:report_unraised")
        (event,) = posthog.exceptions
        entry = first(event)
        assert entry["mechanism"]["synthetic"] is True
        frames = entry["stacktrace"]["frames"]
        assert (frames[0]["module"], frames[0]["function"]) == ("shop", "report_unraised")

    run(functions, scenario)


def test_without_an_error_the_call_says_so(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed) as caught:
            await t.mutation("shop:report_nothing")
        assert isinstance(caught.value.__cause__, TypeError)
        assert "in an except block" in str(caught.value.__cause__)

    run(functions, scenario)
