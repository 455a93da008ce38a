"""What components can't do to each other and to the app: each rule once, on a deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

CONFIG = """
from pyconvex import *
from sample_component import mail, web
app = define_app(env={"SECRET": v.optional(v.string())})
app.use(mail, env={"TOKEN": "t"})
app.use(mail, name="second", env={"TOKEN": "t"})
app.use(web, http_prefix="/web")
app.use(web, name="hidden")
"""
APP = """
from pyconvex import *
from typing import Any

class Mail(Document, table="mails"):
    subject: str

@mutation
async def both(ctx: MutationCtx) -> list[str]:
    own = await ctx.db.insert(Mail(subject="own"))
    theirs = await ctx.run_mutation(components.mail.lib.send, {"to": "ada"})
    return [own, theirs]

@query
async def all(ctx: QueryCtx) -> Any:
    return [
        [mail.subject for mail in await ctx.db.query(Mail).collect()],
        await ctx.run_query(components.mail.lib.sent),
        await ctx.run_query(components.second.lib.sent),
    ]

@query
async def get(ctx: QueryCtx, id: Id[Mail]) -> str | None:
    found = await ctx.db.get(id)
    return found.subject if found else None

@query
async def get_theirs(ctx: QueryCtx, id: str) -> str | None:
    return await ctx.run_query(components.mail.lib.recipient, {"id": id})

@mutation
async def rolls_back(ctx: MutationCtx) -> Any:
    await ctx.db.insert(Mail(subject="kept"))
    try:
        await ctx.run_mutation(components.mail.lib.send_and_fail, {"to": "bob"})
    except ConvexError as error:
        return error.data

@query
async def sends_much(ctx: QueryCtx, megabytes: int) -> str | None:
    text = "x" * (megabytes * 1024 * 1024)
    return await ctx.run_query(components.mail.lib.echo, {"text": text})

@mutation
async def fails_after(ctx: MutationCtx) -> None:
    await ctx.run_mutation(components.mail.lib.send, {"to": "eve"})
    raise ConvexError("no")
"""


def run(scenario: Any) -> None:
    async def main() -> None:
        files = {"convex_config.py": CONFIG, "app.py": APP}
        async with convex_test(files, env={"SECRET": "s"}) as t:
            await scenario(t)

    work: Coroutine[Any, Any, None] = main()
    asyncio.run(work)


def test_tables_of_one_name_and_mounts_of_one_component_are_apart() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("app:both")
        assert await t.query("app:all") == [["own"], ["ada"], []]
        await t.component("second").mutation("lib:send", to="bob")
        assert await t.query("app:all") == [["own"], ["ada"], ["bob"]]

    run(scenario)


def test_ids_are_text_outside_of_their_component() -> None:
    async def scenario(t: ConvexTest) -> None:
        own, theirs = await t.mutation("app:both")
        assert await t.query("app:get", id=own) == "own"
        assert await t.query("app:get_theirs", id=theirs) == "ada"
        # The same table name and number, but a table of somebody else: the document is not there.
        assert await t.query("app:get", id=theirs) is None
        assert await t.query("app:get_theirs", id=own) is None
        with pytest.raises(FunctionFailed, match="ArgumentValidationError"):
            await t.query("app:get", id="no id")

    run(scenario)


def test_a_components_failed_mutation_is_undone_alone_and_with_its_caller() -> None:
    async def scenario(t: ConvexTest) -> None:
        assert await t.mutation("app:rolls_back") == {"code": "NO"}
        assert await t.query("app:all") == [["kept"], [], []]
        with pytest.raises(Exception, match="no"):
            await t.mutation("app:fails_after")
        assert await t.query("app:all") == [["kept"], [], []]

    run(scenario)


def test_arguments_have_a_limit() -> None:
    async def scenario(t: ConvexTest) -> None:
        assert await t.query("app:sends_much", megabytes=15) == "x"
        text = r"Arguments for lib:echo are too large \(actual: 17\.00 MiB, limit: 16 MiB\)"
        with pytest.raises(FunctionFailed, match=text):
            await t.query("app:sends_much", megabytes=17)

    run(scenario)


def test_http_of_components() -> None:
    async def scenario(t: ConvexTest) -> None:
        site = "https://some.convex.site"
        told = {"user": None, "identity": None, "of_the_app": None}
        ada = t.with_identity(subject="ada")
        assert (await ada.fetch("/web/where")).json() == {
            "site": f"{site}/web",
            "url": f"{site}/web/where",
            **told,
        }
        assert (await t.fetch("/web/deep/er/where")).json() == {
            "site": f"{site}/web/deep/er",
            "url": f"{site}/web/deep/er/where",
            **told,
        }
        for path in ("/where", "/web", "/web/nope", "/hidden/where"):
            answer = await t.fetch(path)
            assert (answer.status, answer.text) == (404, f"No HttpAction routed for {path}")

    run(scenario)
