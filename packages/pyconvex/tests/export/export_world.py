"""A deployment's data without a server, what an export of it must be, and a reader of pages.

Owns a store that is written step by step, with its whole history kept in plain dicts, and a
consumer that does with pages what Convex's documents tell consumers to do. Never looks into a
cursor.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from pyconvex.database import Committed, Committer, Namespace, Transaction, registry
from pyconvex.export.answers import Answers
from pyconvex.export.data_sync import PageLimits
from pyconvex.export.messages import DataSync, Head, SelectionText
from pyconvex.storage import Store
from pyconvex.values import Value, codec

SECRET = b"s" * 32
Table = tuple[str, str]
State = dict[Table, dict[str, dict[str, Any]]]


class ExportWorld:
    """Data that is written with the house's own transactions; `history` has it at every commit."""

    def __init__(self, folder: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.store = Store.open(folder, sync=lambda fd: None, clock_ns=clock_ns)
        self._committer = Committer(self.store)
        self._reader = self.store.reader()
        self._random = Random(7)
        self._now_ms = 1.7e12
        self.components: set[str] = {""}
        self.state: State = {}
        self.history: dict[int, State] = {}
        self.answers = self.new_answers()

    def new_answers(self, limits: PageLimits | None = None) -> Answers:
        return Answers(self.store.database, SECRET, limits)

    def transact(self, work: Callable[[Transaction], Any]) -> Any:
        """Commit one transaction, and note what the data is after it."""
        self._now_ms += 1
        self._reader.begin()
        try:
            tx = Transaction(self._reader, now_ms=self._now_ms, random=self._random)
            answer = work(tx)
            proposal = tx.proposal()
        finally:
            self._reader.end()
        [outcome] = self._committer.commit([proposal])
        assert isinstance(outcome, Committed), outcome
        self._note(outcome.ts)
        return answer

    def write(self, work: Callable[[Namespace], Any], component: str = "") -> Any:
        return self.transact(lambda tx: work(tx.namespace(component)))

    def insert(self, table: str, document: dict[str, Any], component: str = "") -> str:
        id: str = self.write(lambda db: db.insert(table, document), component)
        return id

    def mount(self, component: str) -> None:
        """Deploy a component."""
        row = registry.ComponentRow(component, "1", "{}")
        self.transact(lambda tx: registry.set_component(tx, row))
        self.components.add(component)

    def drop(self, table: str, component: str = "") -> None:
        self.transact(lambda tx: registry.drop_table(tx, component, table))

    def close(self) -> None:
        self.answers.close()
        self._reader.close()
        self._committer.close()
        self.store.close()

    def _note(self, ts: int) -> None:
        """Read everything with the database's own code, not the export's."""
        found: State = {}
        self._reader.begin()
        tx = Transaction(self._reader, now_ms=self._now_ms, random=self._random)
        for component in self.components:
            for name in registry.table_names(tx, component):
                if not name.startswith("_"):
                    rows = tx.namespace(component).scan(name)
                    found[component, name] = {str(row["_id"]): exported(row) for row in rows}
        self._reader.end()
        self.state = self.history[ts] = found
        self.history[self.store.visible_ts] = found


def exported(document: dict[str, Value]) -> dict[str, Any]:
    """A document as somebody reads it who parses `export_json` with Python."""
    read: dict[str, Any] = json.loads(codec.encode_as(document, "export_json"))
    return read


def kept(state: State) -> State:
    """Without tables that hold nothing: a table that was never written to may not be there yet."""
    return {table: rows for table, rows in state.items() if rows}


class Consumer:
    """Applies pages, as Convex's documents say."""

    def __init__(self, world: ExportWorld, **asks: Any) -> None:
        self.world = world
        self.selection: bytes | None = asks.pop("selection", None)
        self.asks = asks
        #: Of each change of what is held, what it was is told.
        self.tells_all = "tell_old_document" in asks
        self.cursor: str | None = None
        self.state: State = {}
        self.ts: dict[str, int] = {}
        self.pages: list[dict[str, Any]] = []

    def ask(self, answers: Answers | None = None) -> tuple[Head, dict[str, Any]]:
        request = DataSync(self.cursor, SelectionText(self.selection), "sync", **self.asks)
        head, body = (answers or self.world.answers).answer(request)
        return head, json.loads(body) if head.status == 200 else {}

    def step(self, answers: Answers | None = None) -> str:
        """One page; returns its status."""
        head, page = self.ask(answers)
        assert head.status == 200, head
        self.apply(page)
        return str(page["status"]["type"])

    def apply(self, page: dict[str, Any]) -> None:
        self.pages.append(page)
        for each in page["truncates"]:
            self.state[each["component"], each["table"]] = {}
        for each in page.get("dropped", ()):
            del self.state[each["component"], each["table"]]
        for row in page["values"]:
            self._apply_row(row)
        self.cursor = page["pagination"]["nextCursor"]

    def _apply_row(self, row: dict[str, Any]) -> None:
        rows, id = self.state[row["component"], row["table"]], row["value"]["_id"]
        assert self.ts.get(id, 0) <= row["ts"], "versions of a document come in their order"
        self.ts[id] = row["ts"]
        if self.tells_all and id in rows:
            assert "oldDocument" in row, "what is held is only ever changed"
        assert row.get("oldDocument", rows.get(id)) == rows.get(id), "it was what is held"
        if row["deleted"]:
            assert set(row["value"]) == {"_id"}
            rows.pop(id, None)
        else:
            rows[id] = row["value"]

    def settle(self) -> int:
        """Ask until it is up to date; returns the snapshot's timestamp."""
        for _ in range(10_000):
            if self.step() == "upToDate":
                return int(self.pages[-1]["status"]["snapshotTs"])
        raise AssertionError("it never settles")
