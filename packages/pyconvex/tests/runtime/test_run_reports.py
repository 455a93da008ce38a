"""What runs of queries and mutations report beside their result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pyconvex.identity import ANONYMOUS, Admin, User
from pyconvex.runlog import ExceptionReport, Report
from pyconvex.runlog.report import decode_value
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.running.output import shared_output
from pyconvex.values import codec

ADA = User(
    token_identifier="https://issuer|ada",
    issuer="https://issuer",
    subject="ada",
    attributes=codec.encode({"subject": "ada"}),
)

APP = {
    "shop": """
        from pyconvex import *

        class Note(Document, table="notes"):
            text: str

        @query
        async def shown(ctx: QueryCtx) -> int:
            ctx.report("shop.shown", {"$n": 1}, each_caller=True)
            return len(await ctx.db.query(Note).collect())

        @query
        async def whose(ctx: QueryCtx) -> str | None:
            return ctx.user_id

        @mutation
        async def add(ctx: MutationCtx, text: str) -> None:
            ctx.report("shop.added", text, durable=True)
            ctx.log("info", "adding")
            print("half", end="")
            await ctx.db.insert(Note(text=text))
            if text == "bad":
                raise ConvexError({"code": 7})

        @mutation
        async def tries(ctx: MutationCtx) -> str:
            print("before")
            try:
                await ctx.run_mutation(add, "bad")
            except ConvexError as error:
                ctx.report("shop.caught", {"error": ctx.describe_exception(error)})
                known = ctx.describe_exception(error).id
            print("after")
            await ctx.run_query(shown)
            return known

        @mutation
        async def reports_and_raises(ctx: MutationCtx) -> None:
            try:
                raise ValueError("first")
            except ValueError as error:
                ctx.report("shop.caught", ctx.describe_exception(error).id)
                raise

        @query
        async def bad_item(ctx: QueryCtx) -> None:
            ctx.report("shop.bad", object())
    """,
}


@pytest.fixture
def app(bench: Any, analysed: Callable[..., AppImage]) -> Any:
    bench.deploy(analysed(**APP))
    return bench


def reported(ended: Any) -> Report:
    report: Report = ended.finished.report
    return report


def exception(report: Report) -> ExceptionReport:
    return msgspec.msgpack.decode(report.exception, type=ExceptionReport)


def test_items_come_back_with_the_result(app: Any) -> None:
    (item,) = reported(app.run("shop:shown")).items
    assert (item.kind, item.component, item.each_caller) == ("shop.shown", "", True)
    assert decode_value(item.value) == {"$n": 1}
    assert "TypeError: ctx.report takes plain data" in app.run("shop:bad_item").error


def test_items_and_lines_survive_what_a_failure_undoes(app: Any) -> None:
    with shared_output():
        ended = app.mutate("shop:add", {"text": "bad"})
    assert ended.proposal.writes == ()
    report = reported(ended)
    assert [decode_value(item.value) for item in report.items] == ["bad"]
    assert [line.text for line in report.lines] == ["adding", "half"]
    told = exception(report)
    assert (told.type, told.message) == ("ConvexError", '{"code":7.0}')
    assert codec.decode(told.data or b"") == {"code": 7}
    assert [frame.function for frame in told.frames] == ["add"]
    assert told.frames[0].file == "/app/shop.py"
    assert told.frames[0].source.strip() == 'raise ConvexError({"code": 7})'


def test_nested_calls_report_through_their_caller(app: Any) -> None:
    with shared_output():
        ended = app.mutate("shop:tries")
    report = reported(ended)
    assert [item.kind for item in report.items] == ["shop.added", "shop.caught", "shop.shown"]
    assert [(line.text, line.path) for line in report.lines] == [
        ("before", ""),
        ("adding", "shop:add"),
        ("half", "shop:add"),
        ("after", ""),
    ]
    caught = decode_value(report.items[1].value)["error"]
    assert caught["id"] == ended.value
    assert [frame["function"] for frame in caught["frames"]] == ["tries", "add"]
    assert report.exception == b"", "it was caught"


def test_an_error_reported_by_hand_is_the_one_that_left_the_function(app: Any) -> None:
    report = reported(app.mutate("shop:reports_and_raises"))
    assert exception(report).id == decode_value(report.items[0].value)


def test_a_mutation_has_a_person_and_a_query_that_looked(app: Any) -> None:
    def user(path: str, who: Any) -> str | None:
        return reported(app.run(path, who=who)).user_id

    assert user("shop:whose", ADA) == "ada"
    assert user("shop:shown", ADA) is None
    assert reported(app.mutate("shop:tries", who=ADA)).user_id == "ada"
    assert reported(app.mutate("shop:tries", who=Admin(ADA))).user_id == "ada"
    assert reported(app.mutate("shop:tries", who=ANONYMOUS)).user_id is None


def test_what_a_run_used(app: Any) -> None:
    app.mutate("shop:add", {"text": "a"})
    used = reported(app.run("shop:shown")).usage
    assert (used.documents_read, used.documents_written) == (1, 0)
    assert used.bytes_read > 0
    assert used.wall_ms > 0
    wrote = reported(app.mutate("shop:add", {"text": "b"}, commit=False)).usage
    assert (wrote.documents_written, wrote.bytes_written > 0) == (1, True)
