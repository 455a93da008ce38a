"""What contexts hand to the run behind them, by either calling form."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import pytest

from pyconvex import ActionCtx, Arg, MutationCtx, QueryCtx, api, components, mutation, query
from pyconvex.functions import EnvironmentView, FunctionReference
from pyconvex.runlog import ExceptionReport


class RecordedRun:
    """A run that only notes what it is asked."""

    function_name = "users:get"
    user_id = "ada"
    identity_attributes: Mapping[str, Any] | None = {"subject": "ada"}
    environment = EnvironmentView(["A"], {"A": "1"}.get)

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def call(self, kind: str, target: Any, arguments: Mapping[str, Any]) -> Any:
        self.asked.append((kind, target, dict(arguments)))
        return "answer"

    def set_user_id(self, user_id: str | None) -> None:
        self.asked.append(("set_user_id", user_id))

    session_id: str | None = "s1"

    def set_session_id(self, session_id: str | None) -> None:
        self.asked.append(("set_session_id", session_id))

    async def enqueue(self, queue: str, value: Any, mount: str | None) -> None:
        self.asked.append(("enqueue", queue, value))

    def log(self, level: str, message: Any) -> None:
        self.asked.append(("log", level, message))

    def report(self, kind: str, value: Any, *, durable: bool, each_caller: bool) -> None:
        self.asked.append(("report", kind, value, durable, each_caller))

    def describe(self, error: BaseException) -> ExceptionReport:
        return ExceptionReport("id", type(error).__name__, str(error))


@query
async def find(ctx: QueryCtx, text: Annotated[str, Arg("q")], limit: int = 10) -> str:
    return text


@mutation
async def touch(ctx: MutationCtx) -> None: ...


def asked(act: Any, make: Any = MutationCtx) -> list[tuple[Any, ...]]:
    run = RecordedRun()
    ctx = make(run) if make is ActionCtx else make(run, None)

    async def main() -> None:
        await act(ctx)

    asyncio.run(main())
    return run.asked


def test_functions_are_called_as_python_calls_them() -> None:
    for act in (
        lambda ctx: ctx.run_query(find, "a", 5),
        lambda ctx: ctx.run_query(find, "a", limit=5),
        lambda ctx: ctx.run_query(find, text="a", limit=5),
    ):
        assert asked(act) == [("query", find, {"q": "a", "limit": 5})]
    assert asked(lambda ctx: ctx.run_mutation(touch)) == [("mutation", touch, {})]


def test_references_are_called_with_a_dictionary_or_names() -> None:
    reference = FunctionReference("users", "find")
    for target in (reference, api.users.find, components.mail.lib.find):
        for act in (
            lambda ctx, target=target: ctx.run_query(target, {"q": "a"}),
            lambda ctx, target=target: ctx.run_query(target, q="a"),
        ):
            assert asked(act) == [("query", target, {"q": "a"})]
        assert asked(lambda ctx, t=target: ctx.run_query(t, None)) == [("query", target, {})]


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda ctx: ctx.run_query(find, "a", 5, 6), "takes 2 arguments, 3 were given"),
        (lambda ctx: ctx.run_query(find, "a", text="b"), "got argument 'text' twice"),
        (lambda ctx: ctx.run_query(api.a.b, {"q": 1}, {}), "as one dictionary, or by name"),
        (lambda ctx: ctx.run_query(api.a.b, {"q": 1}, limit=2), "as one dictionary, or by name"),
        (lambda ctx: ctx.run_query("users:find"), "'users:find' is no function to run"),
        (lambda ctx: ctx.run_query(test_a_mutation_enqueues), "pass the decorated function"),
    ],
)
def test_arguments_are_never_dropped(act: Any, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        asked(act)
    assert text in str(caught.value)


def test_actions_call_all_three_kinds() -> None:
    assert asked(lambda ctx: ctx.run_query(api.a.q), ActionCtx)[0][0] == "query"
    assert asked(lambda ctx: ctx.run_mutation(api.a.m), ActionCtx)[0][0] == "mutation"
    assert asked(lambda ctx: ctx.run_action(api.a.a, {"x": 1}), ActionCtx)[0][::2] == (
        "action",
        {"x": 1},
    )


def test_a_mutation_enqueues() -> None:
    assert asked(lambda ctx: ctx.enqueue("outbox", {"a": 1})) == [("enqueue", "outbox", {"a": 1})]


def test_a_context_offers_only_what_its_kind_may_do() -> None:
    run: Any = RecordedRun()
    database: Any = None
    offered = {
        kind: {name for name in ("db", "run_mutation", "run_action", "enqueue") if hasattr(c, name)}
        for kind, c in (
            ("query", QueryCtx(run, database)),
            ("mutation", MutationCtx(run, database)),
            ("action", ActionCtx(run)),
        )
    }
    assert offered == {
        "query": {"db"},
        "mutation": {"db", "run_mutation", "enqueue"},
        "action": {"run_mutation", "run_action"},
    }


def test_who_calls_what_runs_variables_and_log() -> None:
    run = RecordedRun()
    database: Any = None
    ctx = QueryCtx(run, database)
    ctx.log("info", "hello")
    assert (ctx.user_id, ctx.function_name, ctx.env["A"]) == ("ada", "users:get", "1")
    assert asyncio.run(ctx.auth.get_user_identity()) == {"subject": "ada"}  # type: ignore[arg-type]
    assert run.asked == [("log", "info", "hello")]


def test_reports_and_descriptions_of_errors() -> None:
    run = RecordedRun()
    ctx = ActionCtx(run)
    ctx.report("shop.sold", {"n": 1})
    ctx.report("shop.shown", 2, durable=True, each_caller=True)
    assert run.asked == [
        ("report", "shop.sold", {"n": 1}, False, False),
        ("report", "shop.shown", 2, True, True),
    ]
    assert ctx.describe_exception(KeyError("a")).type == "KeyError"


@pytest.mark.parametrize("kind", ["log", "exception", "execution", "convex.audit", "host.x"])
def test_what_the_host_tells_is_not_to_be_told_by_others(kind: str) -> None:
    run = RecordedRun()
    with pytest.raises(ValueError, match=f'"{kind}" is a word of the host\'s own'):
        ActionCtx(run).report(kind, {})
    assert run.asked == []
