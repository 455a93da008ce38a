"""Calling functions: what goes in, what comes out, and how failures look."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from pyconvex import ConvexError, MutationCtx, api
from pyconvex.testing import Caller, ConvexTest, FunctionFailed

Run = Callable[..., None]


def test_results_have_their_declared_types(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        id = await t.mutation("notes:add", text="a", stars=2)
        note = await t.query("notes:get", id=id)
        assert (note.text, note.stars, type(note.stars)) == ("a", 2, int)
        assert await t.query("notes:texts") == ["a"]

    testing(scenario)


def test_a_function_by_reference_and_arguments_as_a_dictionary(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation(api.notes.add, {"text": "a"})
        await t.mutation("notes.js:add", {"text": "b"})
        assert await t.query(api.notes.texts) == ["a", "b"]

    testing(scenario)


def test_internal_functions_can_be_called(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("notes:add", text="a")
        await t.mutation("notes:clear")
        assert await t.query("notes:texts") == []

    testing(scenario)


def test_actions_call_functions_each_in_its_own_transaction(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        assert await t.action("notes:work", text="a") == 1
        assert await t.query("notes:stars", text="a") == 1
        with pytest.raises(FunctionFailed):
            await t.action("notes:work", text="a")  # two of that text: star fails
        assert await t.query("notes:texts") == ["a", "a"]  # and what was added before stays

    testing(scenario)


def test_a_convex_error_comes_in_its_authors_class(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(ConvexError) as caught:
            await t.mutation("notes:add", text="longer than it may be")
        assert type(caught.value).__name__ == "TooLong"
        assert caught.value.data == {"limit": 10}

    testing(scenario)


def test_another_error_is_the_cause_with_the_authors_lines(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match="Uncaught ZeroDivisionError: no") as caught:
            await t.mutation("notes:fail", afterWriting="y")
        cause = caught.value.__cause__
        assert isinstance(cause, ZeroDivisionError)
        last = traceback.extract_tb(cause.__traceback__)[-1]
        assert (last.name, last.line) == ("broken", 'raise ZeroDivisionError("no")')
        assert await t.query("notes:texts") == []  # rolled back

    testing(scenario)


def test_an_error_inside_an_action_leads_to_the_function_that_raised_it(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed) as caught:
            await t.action("notes:fail_inside")
        assert caught.value.__cause__ is not None
        assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)

    testing(scenario)


def test_a_shared_failure_reaches_everybody(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        for _ in range(2):
            with pytest.raises(FunctionFailed) as caught:
                await t.query("notes:stars", text="none")
            assert isinstance(caught.value.__cause__, LookupError)

    testing(scenario)


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("notes:add", {"text": 1.0}, "ArgumentValidationError"),
        ("notes:add", {"text": "a", "more": 1.0}, "ArgumentValidationError"),
        ("notes:returns_wrong", {}, "ReturnsValidationError"),
        ("notes:none", {}, "Could not find function for 'notes:none'"),
        ("notes:texts", {}, "as Mutation, but it is defined as Query"),
    ],
)
def test_calls_are_checked_as_in_production(
    testing: Run, path: str, arguments: dict[str, Any], words: str
) -> None:
    async def scenario(t: ConvexTest) -> None:
        run = t.query if path == "notes:returns_wrong" else t.mutation
        with pytest.raises(FunctionFailed, match=words):
            await run(path, arguments)

    testing(scenario)


def test_what_is_no_function_is_a_type_error(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(TypeError, match="no function of the app"):
            await t.query(len)  # type: ignore[call-overload]

    testing(scenario)


def test_identities_belong_to_callers(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        ada = t.with_identity(subject="ada", name="Ada")
        somebody = t.with_identity(name="B")
        assert await ada.query("notes:whoami") == "ada Ada"
        assert await t.query("notes:whoami") is None
        one, same = await somebody.query("notes:whoami"), t.with_identity(name="B")
        assert one == await same.query("notes:whoami")
        assert one != await t.with_identity(name="C").query("notes:whoami")

        async def seen(ctx: MutationCtx) -> object:
            return await ctx.auth.get_user_identity()

        assert await ada.run(seen) == {
            "issuer": "https://convex.test",
            "name": "Ada",
            "subject": "ada",
            "tokenIdentifier": "https://convex.test|ada",
        }

    testing(scenario)


def test_run_is_one_transaction(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        async def two(ctx: MutationCtx) -> list[Any]:
            await ctx.db.insert("notes", {"text": "a", "stars": 1})
            await ctx.run_mutation(api.notes.add, {"text": "b"})
            return await ctx.db.query("notes").collect()

        assert [note.text for note in await t.run(two)] == ["a", "b"]

        async def broken(ctx: MutationCtx) -> None:
            await ctx.db.insert("notes", {"text": "c", "stars": 1})
            assert 1 + 1 == 3, "the test's own"

        with pytest.raises(AssertionError, match="the test's own"):
            await t.run(broken)
        assert await t.query("notes:texts") == ["a", "b"]

        async def invalid(ctx: MutationCtx) -> None:
            await ctx.db.insert("notes", {"text": 1.0})

        with pytest.raises(Exception, match="does not match the schema"):
            await t.run(invalid)

    testing(scenario)


def test_a_verdict_of_the_test_runner_passes_through(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        async def gives_up(ctx: MutationCtx) -> None:
            pytest.fail("seen")

        with pytest.raises(pytest.fail.Exception, match="seen"):
            await t.run(gives_up)

    testing(scenario)


def test_run_may_not_wait_for_the_world(testing: Run) -> None:
    import asyncio

    async def scenario(t: ConvexTest) -> None:
        async def sleeps(ctx: MutationCtx) -> None:
            await asyncio.sleep(0.01)

        with pytest.raises(Exception, match="using an action"):
            await t.run(sleeps)

    testing(scenario)


def test_an_action_that_exits_fails_alone(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match="called exit"):
            await t.action("notes:leave")
        assert await t.query("notes:texts") == []

    testing(scenario)


def test_a_caller_is_not_changed_by_making_another(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        ada = t.with_identity(subject="ada")
        assert isinstance(ada, Caller)
        t.with_identity(subject="bob")
        assert await ada.query("notes:whoami") == "ada None"

    testing(scenario)
