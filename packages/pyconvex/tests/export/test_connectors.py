"""Connectors of others, by what they ask and how they go on: each ends with the source's rows.

Written after what PostHog's own source, Convex's for Fivetran and the one for Airbyte do.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from export_deployment import SYNC, Deployment, with_deployment

Rows = dict[str, dict[str, Any]]
TABLES = {"notes", "users"}


async def some_life(it: Deployment) -> None:
    await it.add("notes", 5)
    await it.add("users", 3)
    await it.run("change", table="notes", number=2)


async def more_life(it: Deployment) -> None:
    await it.run("remove", table="notes", number=1)
    await it.run("change", table="notes", number=3)
    await it.run("change", table="notes", number=3)
    await it.add("notes", 1)
    await it.run("remove", table="users", number=0)


async def there(it: Deployment, table: str) -> Rows:
    """What the table holds, as a new sync has it."""
    page = (await it.sync({})).json()
    assert page["status"]["type"] == "upToDate"
    return {v["value"]["_id"]: v["value"] for v in page["values"] if v["table"] == table}


class PostHogSource:
    """One table at a time: a snapshot for a full refresh, data sync for what comes after.

    Positions of older versions are converted. A truncate within a sync that goes on means that all
    has to be read again, and that must not be asked without need.
    """

    def __init__(self, it: Deployment, table: str) -> None:
        self._it = it
        self._table = table
        self.rows: Rows = {}
        self.watermark = 0
        self.cursor: str | None = None

    @staticmethod
    async def tables(it: Deployment) -> set[str]:
        asked = {"deltaSchema": "true", "format": "json", "byComponent": "true"}
        found = (await it.client.get("/api/json_schemas", params=asked)).json()
        return {f"{path}.{name}" if path else name for path, here in found.items() for name in here}

    async def full_refresh(self) -> None:
        asked = {"tableName": self._table, "format": "json"}
        while True:
            answer = await self._it.client.get("/api/list_snapshot", params=asked)
            page = answer.json()
            for row in page["values"]:
                assert row["_table"] == self._table
                assert row["_id"] not in self.rows, "each document once"
                self.rows[row["_id"]] = row
                self.watermark = max(self.watermark, row["_ts"])
            if not page["hasMore"]:
                return
            asked |= {"cursor": page["cursor"], "snapshot": str(page["snapshot"])}

    async def incremental(self) -> None:
        only = {"_other": "excluded", self._table: {"_other": "included"}}
        selection = {"_other": "excluded", "": only}
        goes_on = self.cursor is not None
        if self.cursor is None and self.watermark:
            body = {"cursor": self.watermark, "selection": selection}
            answer = await self._it.client.post("/api/data_sync_cursor_from_deltas", json=body)
            assert answer.status_code == 200, answer.text
            self.cursor, goes_on = answer.json()["cursor"], True
        while True:
            body = {"selection": selection}
            if self.cursor is not None:
                body["cursor"] = self.cursor
            page = (await self._it.sync(body)).json()
            assert not (goes_on and page["truncates"]), "all would be read again"
            latest = {v["value"]["_id"]: v for v in page["values"]}
            for id, entry in latest.items():
                if entry["deleted"]:
                    self.rows.pop(id, None)
                else:
                    self.rows[id] = entry["value"]
            self.cursor = page["pagination"]["nextCursor"]
            assert self.cursor
            if page["status"]["type"] == "upToDate":
                return


@pytest.mark.parametrize("begins_with", ["full_refresh", "incremental"])
def test_the_source_of_posthog(tmp_path: Path, begins_with: str) -> None:
    async def story(it: Deployment) -> None:
        await some_life(it)
        assert await PostHogSource.tables(it) == TABLES
        sources = {table: PostHogSource(it, table) for table in TABLES}
        for source in sources.values():
            await getattr(source, begins_with)()
        await more_life(it)
        for _ in range(2):
            for source in sources.values():
                await source.incremental()
        for table, source in sources.items():
            expected = await there(it, table)
            assert source.rows.keys() == expected.keys()
            changed = {id for id, row in expected.items() if "text" in row}
            assert changed == {id for id, row in source.rows.items() if "text" in row}

    with_deployment(tmp_path, story)


_FIVETRAN = {"convex-client": "fivetran-export-3.0.0"}


class FivetranSource:
    """All tables in one sync, whose progress it reads out of the list of active ones."""

    def __init__(self, it: Deployment) -> None:
        self._it = it
        self.cursor: str | None = None
        self.tables: dict[tuple[str, str], Rows] = {}

    async def connect(self) -> dict[str, list[str]]:
        answer = await self._it.client.get("/api/test_streaming_export_connection")
        assert (answer.status_code, answer.json()) == (200, None)
        named = (await self._it.client.get("/api/get_table_column_names")).json()
        return {each["name"]: each["columns"] for each in named["byComponent"][""]}

    async def update(self, selection: dict[str, Any]) -> None:
        while True:
            body = {"cursor": self.cursor, "selection": selection}
            answer = await self._it.client.post(SYNC, json=body, headers=_FIVETRAN)
            page = answer.json()
            for gone in page["truncates"]:
                self.tables[gone["component"], gone["table"]] = {}
            for entry in page["values"]:
                rows = self.tables[entry["component"], entry["table"]]
                if entry["deleted"]:
                    assert entry["value"].keys() == {"_id"}
                    rows.pop(entry["value"]["_id"], None)
                else:
                    rows[entry["value"]["_id"]] = entry["value"]
            self.cursor = page["pagination"]["nextCursor"]
            assert page["syncId"].startswith("fivetran-")
            await self._read_progress(page["syncId"], page["status"]["type"])
            if page["status"]["type"] == "upToDate":
                return

    async def _read_progress(self, sync_id: str, status: str) -> None:
        """Every field is needed and has its type, or the whole list can't be read."""
        listed = (await self._it.client.get("/api/v1/data/list_active_syncs")).json()
        assert listed["pagination"].keys() == {"hasMore", "nextCursor"}
        [sync] = [each for each in listed["syncs"] if each["syncId"] == sync_id]
        assert isinstance(sync["lastUpdated"], int)
        told = sync["status"]
        numbers = ["totalTables", "numDocumentsSynced"]
        if status == "snapshotting":
            numbers += ["numTablesSynced", "numDocumentsInCurrentTable"]
            numbers += ["totalDocumentsInCurrentTable", "totalDocuments"]
            assert told["currentComponent"] == ""
            assert told["currentTable"] in TABLES | {"later"}
        else:
            numbers += ["syncedTs"]
        assert told["type"] == status
        assert all(isinstance(told[name], int) and told[name] >= 0 for name in numbers), told


def test_the_source_for_fivetran(tmp_path: Path) -> None:
    async def story(it: Deployment) -> None:
        await some_life(it)
        source = FivetranSource(it)
        columns = await source.connect()
        assert columns.keys() == TABLES
        assert {"_id", "_creationTime", "number", "text", "data"} == {*columns["notes"]} - {"big"}
        everything = {"_other": "included", "": {"_other": "included"}}
        await source.update({"_other": "included", "": {"_other": "included", "users": "excluded"}})
        assert source.tables.keys() == {("", "notes")}
        await more_life(it)
        await it.add("later", 2)
        await source.update(everything)
        for table in (*TABLES, "later"):
            assert source.tables["", table] == await there(it, table)

    with_deployment(tmp_path, story)


def test_the_source_for_airbyte(tmp_path: Path) -> None:
    async def story(it: Deployment) -> None:
        await some_life(it)
        asked = {"deltaSchema": "true", "format": "convex_json"}
        headers = {"convex-client": "airbyte-export-0.2.0"}
        schemas = (await it.client.get("/api/json_schemas", params=asked, headers=headers)).json()
        assert schemas.keys() == TABLES
        assert schemas["notes"]["properties"]["_ts"] == {"type": "integer"}
        positions: dict[str, str] = {}
        tables: dict[str, Rows] = {table: {} for table in schemas}
        for table in schemas:
            params = {"tableName": table, "format": "convex_json"}
            while True:
                answer = await it.client.get("/api/list_snapshot", params=params, headers=headers)
                page = answer.json()
                tables[table] |= {row["_id"]: row for row in page["values"]}
                if not page["hasMore"]:
                    break
                params |= {"cursor": page["cursor"], "snapshot": str(page["snapshot"])}
            positions[table] = str(page["snapshot"])
        await more_life(it)
        for table in schemas:
            while True:
                params = {"tableName": table, "format": "convex_json", "cursor": positions[table]}
                answer = await it.client.get("/api/document_deltas", params=params, headers=headers)
                page = answer.json()
                for row in page["values"]:
                    assert row["_table"] == table
                    if row["_deleted"]:
                        tables[table].pop(row["_id"])
                    else:
                        tables[table][row["_id"]] = row
                positions[table] = str(page["cursor"])
                if not page["hasMore"]:
                    break
            expected = await there(it, table)
            assert tables[table].keys() == expected.keys()
            for id, row in tables[table].items():
                [number] = struct.unpack("<q", base64.b64decode(row["big"]["$integer"]))
                assert number == expected[id]["big"] == 2**53 + 1
                assert row.get("data") == expected[id].get("data")
        assert json.dumps(tables)

    with_deployment(tmp_path, story)
