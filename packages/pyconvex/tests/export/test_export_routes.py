"""Streaming export over HTTP, from a whole server."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from export_deployment import SYNC, Deployment, with_deployment


def rows_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((row["table"], row["value"]["_id"]) for row in page["values"])


def test_a_sync_goes_on_over_a_kill_and_a_restart(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    async def begins(it: Deployment) -> None:
        await it.add("notes", 30)
        await it.client.post("/api/mutation", json={"path": "lib:later", "args": {}})
        first = (await it.sync({"pageSize": 10})).json()
        assert first["status"] == {"type": "snapshotting"}
        assert first["truncates"] == [{"component": "", "table": "notes"}]
        assert first["values"][0]["value"]["big"] == 2**53 + 1
        pid = it.server._exporter.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        cursor = first["pagination"]["nextCursor"]
        second = (await it.sync({"pageSize": 10, "cursor": cursor})).json()
        assert it.server._exporter.pid not in (None, pid)
        assert second["syncId"] == first["syncId"]
        seen["rows"] = rows_of(first) + rows_of(second)
        seen["sync"] = first["syncId"]
        seen["cursor"] = second["pagination"]["nextCursor"]

    async def goes_on(it: Deployment) -> None:
        listed = (await it.client.get("/api/v1/data/list_active_syncs")).json()["syncs"]
        assert [sync["syncId"] for sync in listed] == [seen["sync"]], "a restart forgets no sync"
        assert listed[0]["status"]["type"] == "snapshotting"
        page = (await it.sync({"cursor": seen["cursor"]})).json()
        rows = seen["rows"] + rows_of(page)
        assert page["status"]["type"] == "upToDate"
        assert {table for table, _ in rows} == {"notes"}, "no table of the system"
        assert len(set(rows)) == len(rows) == 30

    with_deployment(tmp_path, begins)
    with_deployment(tmp_path, goes_on)


def test_a_deleted_table_is_gone_and_comes_anew(tmp_path: Path) -> None:
    async def story(it: Deployment) -> None:
        await it.add("notes", 3)
        await it.add("kept", 1)
        asks = {"tellDropped": True, "tellRetention": True}
        page = (await it.sync(asks)).json()
        assert page["retention"] == 14 * 86_400
        gone = await it.client.post("/api/delete_tables", json={"tableNames": ["notes"]})
        assert gone.status_code == 200, gone.text
        asks["cursor"] = page["pagination"]["nextCursor"]
        page = (await it.sync(asks)).json()
        assert page["dropped"] == [{"component": "", "table": "notes"}]
        await it.add("notes", 1)
        asks["cursor"] = page["pagination"]["nextCursor"]
        page = (await it.sync(asks)).json()
        assert page["truncates"] == [{"component": "", "table": "notes"}]
        assert len(page["values"]) == 1
        for names in (["kept", "nothing"], ["_data_syncs"]):
            answer = await it.client.post("/api/delete_tables", json={"tableNames": names})
            assert (answer.status_code, answer.json()["code"]) == (400, "TableNotFound")
        listed = (await it.client.get("/api/get_table_column_names")).json()["byComponent"][""]
        assert [table["name"] for table in listed] == ["kept", "notes"], "all of them or none"
        it.client.headers.pop("authorization")
        answer = await it.client.post("/api/delete_tables", json={"tableNames": ["kept"]})
        assert answer.status_code in (401, 403)

    with_deployment(tmp_path, story)


def test_a_cursor_from_the_older_endpoint_goes_on(tmp_path: Path) -> None:
    async def story(it: Deployment) -> None:
        await it.add("notes", 3)
        walked = (await it.client.post("/api/list_snapshot", json={})).json()
        await it.add("notes", 2)
        converted = await it.client.post(
            "/api/data_sync_cursor_from_deltas", json={"cursor": walked["snapshot"]}
        )
        page = (await it.sync({"cursor": converted.json()["cursor"]})).json()
        assert (page["status"]["type"], page["truncates"]) == ("upToDate", [])
        rows = {row["_id"] for row in walked["values"]} | {id for _, id in rows_of(page)}
        assert (len(walked["values"]), len(page["values"]), len(rows)) == (3, 2, 5)

    with_deployment(tmp_path, story)


def test_lines_and_gzip_say_the_same(tmp_path: Path) -> None:
    async def story(it: Deployment) -> None:
        await it.add("notes", 20)
        await it.add("users", 10)
        whole = (await it.sync({})).json()
        packed = await it.client.send(
            it.client.build_request("POST", SYNC, json={}, headers={"accept-encoding": "gzip"}),
            stream=True,
        )
        assert packed.headers["content-encoding"] == "gzip"
        raw = b"".join([piece async for piece in packed.aiter_raw()])
        await packed.aclose()
        assert json.loads(gzip.decompress(raw))["values"] == whole["values"]
        lines = (await it.sync({}, accept="application/x-ndjson")).content
        head, rest = lines.split(b"\n", 1)
        told = json.loads(head)
        assert told["status"]["type"] == whole["status"]["type"]
        assert told["truncates"] == whole["truncates"]
        values = []
        for block in told["tables"]:
            text, rest = rest[: block["bytes"]], rest[block["bytes"] :]
            rows = [json.loads(line) for line in text.splitlines()]
            assert len(rows) == block["rows"]
            names = {"component": block["component"], "table": block["table"]}
            values += [{**names, **row} for row in rows]
        assert rest == b""
        assert values == whole["values"]

    with_deployment(tmp_path, story)


def test_an_answer_without_news_is_held_until_there_are_some(tmp_path: Path) -> None:
    async def story(it: Deployment) -> None:
        await it.add("notes", 1)
        cursor = (await it.sync({})).json()["pagination"]["nextCursor"]
        loop = asyncio.get_running_loop()
        began = loop.time()
        held = asyncio.create_task(it.sync({"cursor": cursor, "wait": 50}))
        while not it.server._store._durability._waiters:  # for a commit that is to come
            await asyncio.sleep(0.01)
        await it.add("notes", 1)
        page = (await held).json()
        assert len(page["values"]) == 1
        assert loop.time() - began < 45
        cursor = page["pagination"]["nextCursor"]
        nothing = (await it.sync({"cursor": cursor, "wait": 0.2})).json()
        assert (nothing["values"], nothing["status"]["type"]) == ([], "upToDate")

    with_deployment(tmp_path, story)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "BadJsonBody"),
        (b"[]", "BadJsonBody"),
        (b'{"cursor":7}', "BadJsonBody"),
        (b'{"cursor":"x"}', "InvalidDataSyncCursor"),
        (b'{"cursor":"\xff"}', "BadJsonBody"),
        (b'{"selection":7}', "InvalidDataSyncSelection"),
        (b'{"selection":{}}', "InvalidDataSyncSelection"),
        (b'{"selection":{"_other":"maybe"}}', "InvalidDataSyncSelection"),
        (b'{"selection":{"_other":{"_other":"incl"}}}', "InvalidDataSyncSelection"),
        (b'{"pageSize":0}', "LimitOutOfRange"),
        (b'{"pageSize":16385}', "LimitOutOfRange"),
        (b'{"wait":-1}', "LimitOutOfRange"),
        (b'{"wait":51}', "LimitOutOfRange"),
    ],
)
def test_a_bad_body_is_refused_with_a_sentence(
    shared: Callable[[str, str, bytes, dict[str, str]], httpx2.Response], body: bytes, code: str
) -> None:
    answer = shared("POST", SYNC, body, {"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert answer.json()["message"].endswith((".", "}}."))


def test_a_body_must_say_that_it_is_json(
    shared: Callable[[str, str, bytes, dict[str, str]], httpx2.Response],
) -> None:
    for path in (SYNC, "/api/list_snapshot", "/api/document_deltas"):
        answer = shared("POST", path, b"{}", {"content-type": "text/plain"})
        assert (answer.status_code, answer.json()["code"]) == (400, "BadJsonBody")
        answer = shared("POST", path, b'{"cursor":0}', {"content-type": "Application/JSON; a=b"})
        assert answer.json().get("code") in (None, "InvalidDataSyncCursor", "BadJsonBody")


def test_a_bad_key_is_a_401(
    shared: Callable[[str, str, bytes, dict[str, str]], httpx2.Response],
) -> None:
    for path in (SYNC, "/api/list_snapshot", "/api/document_deltas"):
        headers = {"authorization": "Convex local|00", "content-type": "application/json"}
        answer = shared("POST", path, b"{}", headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "BadAdminKey")
        assert "local|00" not in answer.text


def test_what_there_is(
    shared: Callable[[str, str, bytes, dict[str, str]], httpx2.Response],
) -> None:
    assert shared("GET", "/api/test_streaming_export_connection", b"", {}).text == "null"
    told = shared("GET", "/api/get_table_column_names", b"", {}).json()
    columns = ["_creationTime", "_id", "big", "number"]
    assert told == {"byComponent": {"": [{"name": "notes", "columns": columns}]}}
    path = "/api/json_schemas?deltaSchema=true&format=json&byComponent=true"
    schema = shared("GET", path, b"", {}).json()[""]["notes"]
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["properties"]["_ts"] == {"type": "integer"}
    assert schema["properties"]["_id"] == {"$description": "Id(notes)", "type": "string"}
    assert schema["properties"]["big"]["type"] == "string"
    assert shared("GET", "/api/json_schemas", b"", {}).json()["notes"]["required"] == columns
    for bad in ("format=yaml", "byComponent=7"):
        assert shared("GET", f"/api/json_schemas?{bad}", b"", {}).status_code == 400


def test_the_older_arguments_come_in_both_spellings_and_ways(
    shared: Callable[[str, str, bytes, dict[str, str]], httpx2.Response],
) -> None:
    as_json = {"content-type": "application/json"}
    for path, more in (("/api/list_snapshot", {}), ("/api/document_deltas", {"cursor": 0})):
        found = set()
        for spelling in ("tableName", "table_name"):
            args = {**more, spelling: "notes", "format": "export_json", "unknown": "1"}
            query = "&".join(f"{name}={value}" for name, value in args.items())
            found.add(shared("GET", f"{path}?{query}", b"", {}).content)
            found.add(shared("POST", path, json.dumps(args).encode(), as_json).content)
            other = json.dumps({**args, spelling: "nothing"}).encode()
            assert shared("POST", path, other, as_json).json()["values"] == []
        assert len(found) == 1
        assert len(json.loads(found.pop())["values"]) == 3


def test_active_syncs_are_listed_by_pages(
    shared: Callable[[str, str, bytes, dict[str, str]], httpx2.Response],
) -> None:
    as_json = {"content-type": "application/json", "convex-client": "fivetran-export-1.0.0"}
    made = [shared("POST", SYNC, b'{"pageSize":1}', as_json).json()["syncId"] for _ in range(3)]
    assert all(sync_id.startswith("fivetran-") for sync_id in made)
    path = "/api/v1/data/list_active_syncs"
    first = shared("GET", f"{path}?limit=2", b"", {}).json()
    assert [sync["syncId"] for sync in first["syncs"]] == made[:0:-1]
    status = first["syncs"][0]["status"]
    assert status["type"] == "snapshotting"
    assert (status["numDocumentsSynced"], status["totalDocuments"]) == (1, 3)
    next_one = first["pagination"]["nextCursor"]
    second = shared("GET", f"{path}?limit=2&cursor={next_one}", b"", {}).json()
    assert second["syncs"][0]["syncId"] == made[0]
    one = shared("GET", f"/api/v1/data/sync/{made[0]}", b"", {})
    assert one.json() == second["syncs"][0]
    gone = shared("GET", "/api/v1/data/sync/nothing", b"", {})
    assert (gone.status_code, gone.json()["code"]) == (404, "DataSyncNotFound")
    assert shared("GET", f"{path}?limit=101", b"", {}).json()["code"] == "LimitOutOfRange"
    assert shared("GET", f"{path}?limit=x", b"", {}).status_code == 400


def test_what_was_before_is_told_to_those_who_ask(tmp_path: Path) -> None:
    async def story(it: Deployment) -> None:
        await it.add("notes", 1)
        page = (await it.sync({})).json()
        cursor, ts = page["pagination"]["nextCursor"], page["status"]["snapshotTs"]
        await it.add("notes", 1)
        for asks, told in (({}, False), ({"tellOldDocument": True}, True)):
            [row] = (await it.sync({"cursor": cursor, **asks})).json()["values"]
            assert ("oldDocument" in row) is told
            deltas = {"cursor": ts, **{name: "true" for name in asks}}
            answer = await it.client.get("/api/document_deltas", params=deltas)
            [row] = answer.json()["values"]
            assert ("_oldDocument" in row) is told
        assert row["_oldDocument"] is None
        asked = {"cursor": ts, "tellOldDocument": "yes"}
        answer = await it.client.get("/api/document_deltas", params=asked)
        assert answer.status_code == 400

    with_deployment(tmp_path, story)
