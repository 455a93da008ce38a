"""The queries of tools: what they say, who may ask, and when they are told again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from host_bench import Bench, Ended

from pyconvex.identity import ANONYMOUS, Admin, Identity, User
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.settings.addresses import CLOUD_URL, record

LIB = """
from pyconvex import *

class Note(Document, table="notes", indexes={"by_text": ["text"]}):
    text: str
    stars: int = 0

@mutation
async def add(ctx: MutationCtx, texts: list[str]) -> None:
    for text in texts:
        await ctx.db.insert(Note(text=text))

@mutation
async def later(ctx: MutationCtx) -> None:
    await ctx.scheduler.run_after(60, add, texts=["x"])

@internal_query
async def hidden(ctx: QueryCtx) -> bytes:
    return b""

@query
async def addresses(ctx: QueryCtx) -> list[str]:
    return [ctx.env["CONVEX_CLOUD_URL"], *ctx.env]
"""
CONFIG = """
from pyconvex import define_app
from sample_component import mail

app = define_app()
app.use(mail, env={"TOKEN": "t"})
"""
ADMIN = Admin()


@pytest.fixture
def deployed(bench: Bench, analysed: Callable[..., AppImage]) -> Bench:
    bench.deploy(analysed(lib=LIB, convex_config=CONFIG), {"B": "2", "A": "1"})
    return bench


def ask(bench: Bench, path: str, args: Any = None, who: Identity = ADMIN, **options: Any) -> Ended:
    return bench.run(f"_system/{path}", args, who=who, public_only=False, **options)


def page(number: int, cursor: str | None = None) -> dict[str, Any]:
    return {"paginationOpts": {"numItems": float(number), "cursor": cursor}}


def test_variables(deployed: Bench) -> None:
    both = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert ask(deployed, "cli/queryEnvironmentVariables:default").value == both
    got = ask(deployed, "cli/queryEnvironmentVariables:get", {"name": "B"}).value
    assert got == {"name": "B", "value": "2"}
    assert ask(deployed, "cli/queryEnvironmentVariables:get", {"name": "C"}).value is None


def test_tables_and_documents(deployed: Bench) -> None:
    deployed.mutate("lib:add", {"texts": ["one", "two", "three"]})
    tables = ask(deployed, "cli/tables:default", page(10)).value
    assert tables == {"page": [{"name": "notes"}], "isDone": True, "continueCursor": "end"}
    first = ask(deployed, "cli/tableData:default", {"table": "notes", **page(2)}).value
    assert [document["text"] for document in first["page"]] == ["three", "two"]
    rest = page(2, first["continueCursor"])
    second = ask(deployed, "cli/tableData:default", {"table": "notes", **rest}).value
    assert ([document["text"] for document in second["page"]], second["isDone"]) == (["one"], True)
    upwards = {"table": "notes", "order": "asc", **page(1)}
    (document,) = ask(deployed, "cli/tableData:default", upwards).value["page"]
    assert document["text"] == "one"


def chosen(bench: Bench, *conditions: tuple[str, str, Any], **more: Any) -> list[str]:
    told = [{"field": field, "op": op, "value": value} for field, op, value in conditions]
    asked = {"table": "notes", "conditions": told, **page(50), **more}
    return [one["text"] for one in ask(bench, "pyconvex/documents:page", asked).value["page"]]


def test_documents_that_conditions_choose(deployed: Bench) -> None:
    deployed.mutate("lib:add", {"texts": ["a", "b", "Bee", "c"]})
    assert chosen(deployed) == ["c", "Bee", "b", "a"]
    assert chosen(deployed, order="asc") == ["a", "b", "Bee", "c"]
    assert chosen(deployed, ("text", "eq", "b")) == ["b"]  # by its index
    assert chosen(deployed, ("text", "neq", "b")) == ["c", "Bee", "a"]
    assert chosen(deployed, ("text", "gte", "b"), ("text", "lt", "c")) == ["b"]
    assert chosen(deployed, ("text", "contains", "B")) == ["Bee", "b"]
    assert chosen(deployed, ("_creationTime", "gt", 0.0), ("text", "eq", "c")) == ["c"]
    assert chosen(deployed, ("_creationTime", "eq", "0")) == []
    assert chosen(deployed, ("nowhere.at", "set", None)) == []
    assert chosen(deployed, ("nowhere.at", "unset", None), ("text", "eq", "c")) == ["c"]


def test_a_choice_goes_on_where_its_page_stopped_looking(
    deployed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyconvex.runtime.system_queries.documents.MAX_LOOKED_AT", 3)
    deployed.mutate("lib:add", {"texts": ["wanted", *"abcd"]})
    condition = {"field": "text", "op": "contains", "value": "wanted"}
    asked = {"table": "notes", "conditions": [condition], **page(50)}
    first = ask(deployed, "pyconvex/documents:page", asked).value
    assert (first["page"], first["isDone"]) == ([], False)
    asked |= page(50, first["continueCursor"])
    second = ask(deployed, "pyconvex/documents:page", asked).value
    assert [one["text"] for one in second["page"]] == ["wanted"]


def test_one_document(deployed: Bench) -> None:
    deployed.mutate("lib:add", {"texts": ["a", "b"]})
    [document] = ask(
        deployed,
        "pyconvex/documents:page",
        {
            "table": "notes",
            "conditions": [{"field": "text", "op": "eq", "value": "a"}],
            **page(50),
        },
    ).value["page"]
    by_id = {"table": "notes", "id": document["_id"]}
    assert ask(deployed, "pyconvex/documents:get", by_id).value == document
    assert chosen(deployed, ("_id", "eq", document["_id"])) == ["a"]
    assert chosen(deployed, ("_id", "eq", document["_id"]), ("text", "eq", "b")) == []
    assert chosen(deployed, ("_id", "eq", "no id")) == []
    for other in ({"table": "others", "id": document["_id"]}, {"table": "notes", "id": "x"}):
        assert ask(deployed, "pyconvex/documents:get", other).value is None
    refused = ask(deployed, "pyconvex/documents:get", {"table": "_queues", "id": "x"})
    assert "There is no table '_queues' to show." in refused.error


def test_conditions_that_are_none(deployed: Bench) -> None:
    asked = {"table": "notes", "conditions": [{"field": "text", "op": "like"}], **page(5)}
    assert "These are no conditions" in ask(deployed, "pyconvex/documents:page", asked).error


@pytest.mark.parametrize("table", ["_modules", "_secrets", "_tables"])
def test_the_hosts_own_tables_are_not_shown(deployed: Bench, table: str) -> None:
    shown = ask(deployed, "cli/tableData:default", {"table": table, **page(1)})
    assert f"There is no table '{table}'" in shown.error
    empty = ask(deployed, "cli/tableData:default", {"table": "_scheduled_functions", **page(1)})
    assert empty.value["page"] == []


def test_scheduled_functions_are_shown_as_functions_see_them(deployed: Bench) -> None:
    deployed.mutate("lib:later")
    wanted = {"table": "_scheduled_functions", **page(10)}
    (job,) = ask(deployed, "cli/tableData:default", wanted).value["page"]
    assert set(job) == {"_id", "_creationTime", "name", "args", "scheduledTime", "state"}
    assert (job["name"], job["args"]) == ("lib.py:add", [{"texts": ["x"]}])


def test_cron_jobs_are_shown_with_their_runs(
    bench: Bench, analysed: Callable[..., AppImage]
) -> None:
    crons = """
from pyconvex import *
crons = cron_jobs()
crons.interval("beat", 60, api.lib.add, {"texts": ["x"]})
"""
    bench.deploy(analysed(lib=LIB, crons=crons))
    shown = {
        table: ask(bench, "cli/tableData:default", {"table": table, **page(10)}).value["page"]
        for table in ("_cron_jobs", "_cron_job_logs")
    }
    (job,), (log,) = shown["_cron_jobs"], shown["_cron_job_logs"]
    assert (job["name"], job["path"], job["running"]) == ("beat", "lib:add", False)
    assert json.loads(job["schedule"]) == {"type": "every", "period_s": 60}
    assert json.loads(job["arguments"]) == {"texts": ["x"]}
    assert (log["name"], log["component"], log["runs"]) == ("beat", "", [])


def test_a_component(deployed: Bench) -> None:
    listed = ask(deployed, "frontend/components:list").value
    assert [each["path"] for each in listed] == ["mail", "mail/fixed", "mail/inner"]
    tables = ask(deployed, "cli/tables:default", page(10), component="mail")
    assert all(table["name"] != "notes" for table in tables.value["page"])
    missing = ask(deployed, "cli/tables:default", page(10), component="nope")
    assert "There is no component at 'nope'. Components that are there: 'mail'," in missing.error


def test_the_function_spec(deployed: Bench) -> None:
    functions = ask(deployed, "cli/modules:apiSpec").value
    assert [function["identifier"] for function in functions] == [
        "lib.js:add",
        "lib.js:addresses",
        "lib.js:hidden",
        "lib.js:later",
    ]
    assert functions[2]["visibility"] == {"kind": "internal"}
    assert functions[2]["returns"] == {"type": "bytes"}
    assert ask(deployed, "cli/modules:apiSpec", component="mail").value != functions


def test_the_schema(deployed: Bench) -> None:
    schemas = ask(deployed, "frontend/getSchemas:default").value
    (notes,) = json.loads(schemas["active"])["tables"]
    assert notes["tableName"] == "notes"
    assert notes["indexes"] == [{"indexDescriptor": "by_text", "fields": ["text"]}]
    assert notes["documentType"]["value"]["stars"] == {
        "fieldType": {"type": "number"},
        "optional": True,
    }


def test_the_address(deployed: Bench) -> None:
    assert ask(deployed, "cli/convexUrl:cloudUrl").value is None
    deployed.change(lambda tx: record(tx, {CLOUD_URL: "https://here"}))
    assert ask(deployed, "cli/convexUrl:cloudUrl").value == "https://here"
    assert ask(deployed, "cli/convexUrl:siteUrl").value is None
    assert deployed.run("lib:addresses").value == ["https://here", CLOUD_URL]
    assert ask(deployed, "cli/queryEnvironmentVariables:get", {"name": CLOUD_URL}).value is None


@pytest.mark.parametrize("who", [ANONYMOUS, User(
    token_identifier="i|s", issuer="i", subject="s", attributes=b"{}")])  # fmt: skip
@pytest.mark.parametrize("public_only", [True, False])
def test_nobody_but_an_administrator(deployed: Bench, who: Identity, public_only: bool) -> None:
    path = "_system/cli/queryEnvironmentVariables:default"
    assert "Could not find " in deployed.run(path, who=who, public_only=public_only).error


def test_a_query_that_is_not_there(deployed: Bench) -> None:
    assert "Could not find function for '_system/nope'" in ask(deployed, "nope:default").error
    path = "cli/queryEnvironmentVariables:default"
    assert "Could not find function" in ask(deployed, path, kind="mutation").error
    assert "ArgumentValidationError" in ask(deployed, path, {"x": 1.0}).error


def test_it_goes_stale_with_what_it_read(deployed: Bench) -> None:
    path = "cli/queryEnvironmentVariables:get"
    reads = ask(deployed, path, {"name": "A"}).reads
    log = deployed.committer.log
    before = deployed.store.visible_ts
    deployed.change(lambda tx: tx.namespace("").set_env("B", "other"))
    assert log.first_overlap(reads, before) is None
    deployed.change(lambda tx: tx.namespace("").set_env("A", "other"))
    assert log.first_overlap(reads, before) is not None
