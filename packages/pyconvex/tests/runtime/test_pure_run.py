"""One run of a query or mutation, over a real store, in this process."""

from __future__ import annotations

import gc
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pyconvex.database import Transaction
from pyconvex.identity import ANONYMOUS, Admin, User
from pyconvex.runlog.hooks import CalledOut, CallScope
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.running.frame import Frame
from pyconvex.runtime.running.output import shared_output
from pyconvex.runtime.running.run import PureRun
from pyconvex.runtime.running.state import RunState
from pyconvex.values import codec

ADA = User(
    token_identifier="https://issuer|ada|session",
    issuer="https://issuer",
    subject="ada|session",
    attributes=codec.encode({"subject": "ada|session", "name": "Ada"}),
    user_id="ada",
)

APP = {
    "lib": """
        import asyncio, logging
        from typing import Any
        from pyconvex import *

        class Note(Document, table="notes", indexes={"by_text": ["text"]}):
            text: str
            stars: int = 0

        @query
        async def echo(ctx: QueryCtx, n: int, text: str = "x") -> str:
            return text * n

        @query
        async def texts(ctx: QueryCtx) -> list[str]:
            return [note.text for note in await ctx.db.query(Note).collect()]

        @query
        async def newest(ctx: QueryCtx) -> Note | None:
            return await ctx.db.query(Note).order("desc").first()

        @internal_query
        async def hidden(ctx: QueryCtx) -> int:
            return 1

        @mutation
        async def add(ctx: MutationCtx, text: str) -> Id[Note]:
            return await ctx.db.insert(Note(text=text))

        @mutation
        async def add_wrongly(ctx: MutationCtx, text: str) -> int:
            return await ctx.db.insert(Note(text=text))

        @mutation
        async def fail(ctx: MutationCtx, text: str) -> None:
            await ctx.db.insert(Note(text=text))
            raise ValueError("no")

        @query
        async def without_end(ctx: QueryCtx) -> int:
            def call_itself() -> int:
                return call_itself()
            return call_itself()

        @mutation
        async def refuse(ctx: MutationCtx) -> None:
            raise ConvexError({"code": "NO", "n": 1})

        @query(name="byName")
        async def renamed(ctx: QueryCtx) -> str:
            return ctx.function_name

        @query
        async def unencodable(ctx: QueryCtx):
            return {1, 2}

        @query
        async def forever(ctx: QueryCtx) -> None:
            await asyncio.get_running_loop().create_future()

        @query
        async def cancelled(ctx: QueryCtx) -> None:
            raise asyncio.CancelledError

        @query
        async def waits(ctx: QueryCtx) -> None:
            await asyncio.sleep(1)
    """,
    "nested": """
        from typing import Any
        from pyconvex import *
        from .lib import Note, add, add_wrongly, echo, fail, hidden, newest, texts

        @query
        async def read(ctx: QueryCtx) -> list[str]:
            return await ctx.run_query(texts) + [await ctx.run_query(echo, 2, text="a")]

        @query
        async def typed(ctx: QueryCtx) -> list[str]:
            note = await ctx.run_query(newest)
            return [type(note).__name__, note.text, repr(note.stars)]

        @query
        async def reads_hidden(ctx: QueryCtx) -> int:
            return await ctx.run_query(internal.lib.hidden)

        @mutation
        async def both_ways(ctx: MutationCtx) -> list[str]:
            await ctx.db.insert(Note(text="outer"))
            await ctx.run_mutation(add, "inner")
            return await ctx.run_query(texts)

        @mutation
        async def survives(ctx: MutationCtx) -> list[str]:
            await ctx.db.insert(Note(text="kept"))
            caught = []
            for act in (fail, add_wrongly):
                try:
                    await ctx.run_mutation(act, "undone")
                except Exception as error:
                    caught.append(str(error).splitlines()[0])
            return caught + await ctx.run_query(texts)

        @query
        async def writes(ctx: QueryCtx) -> None:
            await ctx._run.call("mutation", add, {"text": "x"})

        @query
        async def wrong_kind(ctx: QueryCtx) -> None:
            await ctx.run_query(api.lib.add, {"text": "x"})

        @query
        async def missing(ctx: QueryCtx) -> None:
            await ctx.run_query(api.lib.nope)

        @query
        async def wrong_arguments(ctx: QueryCtx) -> None:
            await ctx.run_query(api.lib.echo, {"n": "x"})

        @query
        async def deep(ctx: QueryCtx, n: int) -> int:
            return 1 if n == 1 else 1 + await ctx.run_query(deep, n - 1)
    """,
    "who": """
        from typing import Any
        from pyconvex import *

        @query
        async def user_id(ctx: QueryCtx) -> str | None:
            return ctx.user_id

        @query
        async def attributes(ctx: QueryCtx) -> Any:
            return await ctx.auth.get_user_identity()

        @query
        async def through(ctx: QueryCtx) -> Any:
            return await ctx.run_query(user_id)

        @query
        async def nobody(ctx: QueryCtx) -> None:
            pass

        @query
        async def said(ctx: QueryCtx, who: str | None) -> list[str | None]:
            ctx.set_user_id(who)
            return [ctx.user_id, await ctx.run_query(user_id)]

        @query
        async def said_wrong(ctx: QueryCtx) -> None:
            ctx.set_user_id(7)
    """,
    "log": """
        import logging
        from pyconvex import *

        @query
        async def lines(ctx: QueryCtx) -> None:
            print("printed", 3)
            print("half", end="")
            print(" and half")
            logging.getLogger("shop").warning("logged %s", 1)
            ctx.log("info", "it's told")
            print("unfinished", end="")

        @query
        async def fails(ctx: QueryCtx) -> None:
            print("before")
            raise RuntimeError("after")
    """,
    "env": """
        from typing import Any
        from pyconvex import *

        @query
        async def read(ctx: QueryCtx, name: str) -> str | None:
            return ctx.env.get(name)

        @query
        async def all(ctx: QueryCtx) -> dict[str, str]:
            return dict(ctx.env)
    """,
    "convex_config": """
        from pyconvex import define_app, v
        app = define_app(env={"A": v.string(), "B": v.optional(v.string())})
    """,
}


@pytest.fixture
def app(bench: Any, analysed: Callable[..., AppImage]) -> Any:
    bench.deploy(analysed(**APP), {"A": "1", "EXTRA": "2"})
    return bench


# Arguments and results


def test_arguments_go_in_and_the_result_comes_out(app: Any) -> None:
    assert app.run("lib:echo", {"n": 2}).value == "xx"
    assert app.run("lib:echo", {"n": 2.0, "text": "ab"}).value == "abab"
    assert app.run("lib:byName").value == "lib:byName"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({}, "ArgumentValidationError: Object is missing the required field `n`."),
        ({"n": 1, "m": 1}, "ArgumentValidationError: Object contains extra field `m`"),
        ({"n": "1"}, "ArgumentValidationError: Value does not match validator.\nPath: .n\n"),
        ({"n": 1.5}, "declared as int"),
    ],
)
def test_arguments_that_do_not_validate(app: Any, args: dict[str, Any], text: str) -> None:
    ended = app.run("lib:echo", args)
    assert text in ended.error
    assert ended.finished.data is None
    assert "Uncaught" not in ended.error


class Onlooker:
    """A hook that has something of its own on each call."""

    def entered(self, scope: CallScope) -> None:
        scope.state = [scope]

    def left(self, scope: CallScope, error: BaseException | None) -> None:
        assert scope.state == [scope]
        scope.state.clear()

    def span_id(self, scope: CallScope) -> str:
        return ""

    def called(self, scope: CallScope, called: CalledOut) -> None:
        raise AssertionError("no action runs here")


@pytest.mark.parametrize("hooks", [(), (Onlooker(),)], ids=["without hooks", "with one"])
def test_a_run_is_forgotten_at_its_end_without_the_garbage_collector(
    bench: Any, analysed: Callable[..., AppImage], hooks: tuple[Onlooker, ...]
) -> None:
    app = bench
    app.deploy(replace(analysed(**APP), hooks=hooks), {"A": "1", "EXTRA": "2"})
    gc.collect()
    gc.disable()
    try:
        assert app.mutate("lib:add", {"text": "a"}).value
        assert app.run("lib:texts").value == ["a"]
        left = [each for each in gc.get_objects() if isinstance(each, PureRun | Frame | RunState)]
        left += [each for each in gc.get_objects() if isinstance(each, Transaction)]
    finally:
        gc.enable()
    assert left == []


def test_arguments_that_are_no_values(app: Any) -> None:
    assert "MalformedJson" in app.run("lib:echo", raw=b'{"n":{"$integer":"x"}}').error


def test_a_result_is_checked_and_a_wrong_one_rolls_back(app: Any) -> None:
    ended = app.mutate("lib:add_wrongly", {"text": "a"})
    assert ended.error.startswith("ReturnsValidationError: Value does not match validator.")
    assert ended.proposal.writes == ()
    assert "ReturnsValidationError: set is not a Convex type" in app.run("lib:unencodable").error


# Errors


def test_an_error_names_itself_and_the_lines_of_the_app(app: Any) -> None:
    ended = app.mutate("lib:fail", {"text": "a"})
    assert ended.error.startswith("Uncaught ValueError: no\n    at fail (/app/lib.py:")
    assert "pyconvex/" not in ended.error, "the host's own frames help nobody"
    assert ended.proposal.writes == ()
    assert ended.reads.encode() != b"", "what it read tells when to try again"
    assert app.run("lib:texts").value == []


def test_an_error_of_a_function_that_calls_itself_for_ever_is_short(app: Any) -> None:
    lines = app.run("lib:without_end").error.splitlines()
    same = [number for number, line in enumerate(lines) if line.startswith("    at call_itself (")]
    assert len(same) == 3
    assert re.fullmatch(r"    … \d{3,} times more", lines[same[-1] + 1])
    assert lines[-1].startswith("    at without_end (/app/lib.py:")


def test_a_convex_error_carries_its_data(app: Any) -> None:
    ended = app.mutate("lib:refuse")
    assert ended.error.startswith('Uncaught ConvexError: {"code":"NO","n":1.0}')
    assert codec.decode(ended.finished.data) == {"code": "NO", "n": 1.0}


def test_what_never_ends_is_told(app: Any) -> None:
    assert (
        "NeverSettlesError: The function waits for something that" in app.run("lib:forever").error
    )
    assert "Uncaught CancelledError" in app.run("lib:cancelled").error
    assert "Can't wait for time to pass in queries and mutations." in app.run("lib:waits").error
    assert "consider using an action" in app.run("lib:waits").error


# Which function


def test_missing_hidden_and_wrong_kind(app: Any) -> None:
    missing = "Could not find public function for 'lib:nope'."
    assert app.run("lib:nope").error == missing
    assert app.run("nope/nope:default").error == "Could not find public function for 'nope/nope'."
    assert app.run("lib:hidden").error == missing.replace("nope", "hidden")
    assert app.run("lib:hidden", public_only=False).value == 1
    known = app.run("lib:nope", public_only=False).error
    assert known.startswith("Could not find function for 'lib:nope'. Functions that are there:")
    assert "lib:hidden" in known
    assert app.run("lib:add", {"text": "x"}).error == (
        "Trying to execute lib.py:add as Query, but it is defined as Mutation."
    )


# Nested calls


def test_a_query_calls_queries(app: Any) -> None:
    app.mutate("lib:add", {"text": "one"})
    assert app.run("nested:read").value == ["one", "aa"]
    assert app.run("nested:reads_hidden").value == 1


def test_a_nested_result_has_the_types_that_the_hints_say(app: Any) -> None:
    app.mutate("lib:add", {"text": "one"})
    assert app.run("nested:typed").value == ["Note", "one", "0"]


def test_a_nested_mutation_sees_and_is_seen(app: Any) -> None:
    assert app.mutate("nested:both_ways").value == ["outer", "inner"]
    assert app.run("lib:texts").value == ["outer", "inner"]


def test_a_nested_mutation_that_fails_is_undone_alone(app: Any) -> None:
    assert app.mutate("nested:survives").value == [
        "no",
        "ReturnsValidationError: Value does not match validator.",
        "kept",
    ]
    assert app.run("lib:texts").value == ["kept"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nested:writes", "A query can't call a mutation: 'nested:writes' tried to."),
        ("nested:wrong_kind", "Trying to execute lib:add as Query, but it is defined as Mutation."),
        ("nested:missing", "Could not find function for 'lib:nope'."),
        ("nested:wrong_arguments", "ArgumentValidationError: Value does not match validator."),
    ],
)
def test_nested_calls_that_can_not_be(app: Any, path: str, text: str) -> None:
    assert text in app.run(path).error


def test_calls_within_calls_have_a_limit(app: Any) -> None:
    assert app.run("nested:deep", {"n": 8}).value == 8
    assert "Cross component call depth limit exceeded" in app.run("nested:deep", {"n": 9}).error


# Who calls


def test_whose_call_it_is(app: Any) -> None:
    assert app.run("who:user_id", who=ADA).value == "ada"
    assert app.run("who:through", who=ADA).value == "ada"
    assert app.run("who:attributes", who=ADA).value["name"] == "Ada"
    assert app.run("who:user_id", who=Admin(ADA)).value == "ada"
    for nobody in (ANONYMOUS, Admin(None)):
        assert app.run("who:user_id", who=nobody).value is None


@pytest.mark.parametrize(
    ("path", "observed"),
    [("user_id", True), ("attributes", True), ("through", True), ("nobody", False)],
)
def test_only_a_run_that_looked_at_the_caller_is_the_callers_own(
    app: Any, path: str, observed: bool
) -> None:
    for who in (ADA, ANONYMOUS):
        assert app.run(f"who:{path}", who=who).finished.observed_identity is observed


def test_a_function_can_say_whose_call_it_is(app: Any) -> None:
    for who in (ADA, ANONYMOUS):
        ended = app.run("who:said", {"who": "u1"}, who=who)
        assert ended.value == ["u1", "u1"]
        assert not ended.finished.observed_identity, "nobody asked who calls"
    assert app.run("who:said", {"who": None}, who=ADA).value == [None, None]
    assert "text or None" in app.run("who:said_wrong", who=ADA).finished.error


# Log lines


@pytest.mark.usefixtures("_quiet_root")
def test_lines_from_print_logging_and_the_context(app: Any) -> None:
    with shared_output():
        ended = app.run("log:lines")
        again = app.run("log:fails")
    assert ended.finished.log_lines == (
        "[LOG] 'printed 3'",
        "[LOG] 'half and half'",
        "[WARN] 'logged 1'",
        r"[INFO] 'it\'s told'",
        "[LOG] 'unfinished'",
    )
    assert again.finished.log_lines == ("[LOG] 'before'",), "nothing of the run before"


@pytest.fixture
def _quiet_root() -> Any:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
    assert sys.stdout is not None


# Environment


def test_variables_are_reads(app: Any) -> None:
    ended = app.run("env:read", {"name": "A"})
    assert ended.value == "1"
    assert app.run("env:read", {"name": "EXTRA"}).value == "2", "also what no config declares"
    assert app.run("env:read", {"name": "NONE"}).value is None
    assert app.run("env:all").value == {"A": "1"}


def test_a_run_depends_on_the_variables_that_it_read_alone(app: Any) -> None:
    of_a = app.run("env:read", {"name": "A"})
    of_b = app.run("env:read", {"name": "B"})
    unread = app.run("lib:echo", {"n": 1})
    before = app.store.visible_ts
    app.change(lambda tx: tx.namespace("").set_env("B", "set"))
    touched = [
        app.committer.log.first_overlap(each.reads, before) is not None
        for each in (of_a, of_b, unread)
    ]
    assert touched == [False, True, False]


# Deploys


def test_a_result_depends_on_the_code_that_made_it(app: Any, analysed: Any) -> None:
    results = [app.run("lib:echo", {"n": 1}), app.run("lib:nope")]
    before = app.store.visible_ts
    app.deploy(analysed(**{**APP, "more": "x = 1"}))
    for each in results:
        assert app.committer.log.first_overlap(each.reads, before) is not None


def test_code_older_than_the_snapshot_does_not_run(app: Any, analysed: Any) -> None:
    old = app.image
    app.deploy(analysed(**{**APP, "more": "x = 1"}))
    app.image = old
    for path in ("lib:echo", "lib:nope"):
        assert app.run(path, {"n": 1}).finished.stale
    stale = app.mutate("lib:add", {"text": "x"}, commit=False)
    assert stale.finished.stale
    assert stale.proposal.writes == ()
    app.image = analysed(**{**APP, "more": "x = 1"})
    assert not app.run("lib:echo", {"n": 1}).finished.stale, "the same source is the same code"


def test_equal_runs_give_equal_proposals(app: Any) -> None:
    first, second = (app.mutate("lib:add", {"text": "a"}, commit=False) for _ in range(2))
    assert first.finished.value == second.finished.value
    assert first.proposal.writes == second.proposal.writes
    assert first.proposal.source == "lib:add"
    other = app.mutate("lib:add", {"text": "a"}, commit=False, seed=b"other")
    assert other.finished.value != first.finished.value
