"""A small Convex deployment in memory, with the streaming exports of the real ones.

Owns tables with all their past, both exports with their documented pages and refusals, and the
switches for what backends differ in: age, plan, permission. It answers requests as a source does,
without a socket. Never shares code with the sync: it writes its own JSON.
"""

from __future__ import annotations

import base64
import copy
import json
import math
import random
import struct
from dataclasses import dataclass, field
from typing import Any

from posthog_convex.warehouse.source.retry import Answer
from posthog_convex.warehouse.source.steps import Request

Ref = tuple[str, str]
Document = dict[str, Any]
State = dict[Ref, dict[str, Document]]
KEY = "deploy|canary-key-of-tests"


@dataclass
class Tablet:
    """One life of a table: a table that is replaced gets another."""

    number: int
    ref: Ref
    born: int
    documents: dict[str, Document] = field(default_factory=dict)
    #: The timestamp of each document's latest revision.
    revised: dict[str, int] = field(default_factory=dict)


class FakeConvex:
    """A deployment. Commits happen through `commit`; `history` has the state after each."""

    def __init__(self, *, page_rows: int = 4, seed: int = 1) -> None:
        self.page_rows = page_rows
        self.random = random.Random(seed)
        self.ts = 1_700_000_000_000_000_000
        self.tablets: dict[Ref, Tablet] = {}
        self.log: list[tuple[int, Tablet, str, Document | None]] = []
        self.history: dict[int, State] = {self.ts: {}}
        self._past: dict[int, dict[int, tuple[dict[str, Document], dict[str, int]]]] = {}
        self._next_tablet = 1
        self._next_id = 1
        #: Cursors before this timestamp have expired.
        self.kept_from = 0
        self.has_data_sync = True
        self.has_legacy = True
        self.has_export_format = True
        self.ours = False
        self.refusal: tuple[int, str] | None = None
        self.asked: list[Request] = []
        #: Answers given instead of the next ones.
        self.faults: list[Answer] = []

    # --- what happens to the data

    def commit(self, *changes: tuple[Ref, str | None, Document | None]) -> list[str]:
        """One transaction: (table, id or None for a new one, document or None to delete)."""
        self.ts += self.random.randrange(1, 5_000)
        ids = []
        for ref, id_, document in changes:
            tablet = self.table(ref)
            id_ = id_ or self._new_id()
            ids.append(id_)
            if document is None:
                tablet.documents.pop(id_, None)
                tablet.revised.pop(id_, None)
                stored = None
            else:
                created = tablet.documents.get(id_, {}).get("_creationTime", self.ts / 1e6)
                stored = {"_id": id_, "_creationTime": created, **document}
                tablet.documents[id_] = stored
                tablet.revised[id_] = self.ts
            # A transaction has one revision of a document, however often it writes it.
            self.log = [row for row in self.log if (row[0], row[2]) != (self.ts, id_)]
            self.log.append((self.ts, tablet, id_, stored))
        self._note()
        return ids

    def table(self, ref: Ref) -> Tablet:
        if ref not in self.tablets:
            self.tablets[ref] = Tablet(self._next_tablet, ref, self.ts)
            self._next_tablet += 1
        return self.tablets[ref]

    def drop(self, ref: Ref) -> None:
        """A table goes, and nothing in the log says so."""
        self.ts += 1
        self.tablets.pop(ref, None)
        self._note()

    def replace(self, ref: Ref, documents: list[Document]) -> None:
        """An import takes the table's place: other ids, another tablet, nothing deleted."""
        self.ts += 1
        self.tablets.pop(ref, None)
        tablet = self.table(ref)
        for document in documents:
            id_ = self._new_id()
            tablet.documents[id_] = {"_id": id_, "_creationTime": self.ts / 1e6, **document}
            tablet.revised[id_] = self.ts
        self._note()

    def now(self) -> State:
        return {ref: copy.deepcopy(tablet.documents) for ref, tablet in self.tablets.items()}

    def _note(self) -> None:
        self.history[self.ts] = self.now()
        self._past[self.ts] = {
            tablet.number: (dict(tablet.documents), dict(tablet.revised))
            for tablet in self.tablets.values()
        }

    def _at(self, ts: int, tablet: int) -> tuple[dict[str, Document], dict[str, int]]:
        then = max((t for t in self._past if t <= ts), default=None)
        return ({}, {}) if then is None else self._past[then].get(tablet, ({}, {}))

    def _new_id(self) -> str:
        id_ = f"{self.random.randrange(16**8):08x}{self._next_id:06d}"
        self._next_id += 1
        return id_

    # --- what it answers

    def ask(self, request: Request) -> Answer:
        self.asked.append(request)
        if self.faults:
            return self.faults.pop(0)
        if self.refusal is not None:
            status, code = self.refusal
            return _error(status, code)
        asked = json.loads(request.body) if request.body else {}
        match request.path:
            case "/api/v1/data/sync" if self.has_data_sync:
                return self._data_sync(asked)
            case "/api/list_snapshot" if self.has_legacy:
                return self._list_snapshot(asked)
            case "/api/document_deltas" if self.has_legacy:
                return self._document_deltas(asked)
            case "/api/get_table_column_names":
                found: dict[str, list[Any]] = {"": []}
                for component, table in self.tablets:
                    columns = {"name": table, "columns": ["_creationTime", "_id"]}
                    found.setdefault(component, []).append(columns)
                return _answer({"byComponent": found})
        return Answer(404, b"no such thing")

    def close(self) -> None:
        """Nothing is held."""

    def _data_sync(self, asked: dict[str, Any]) -> Answer:
        selection = asked.get("selection")
        if "cursor" in asked:
            try:
                cursor = json.loads(base64.b64decode(asked["cursor"]))
            except ValueError:
                return _error(400, "InvalidDataSyncCursor")
            if cursor["t"] < self.kept_from:
                return _error(400, "DataSyncCursorExpired")
        else:
            cursor = {"t": self.ts, "done": [], "current": None, "last": ""}
        tracked_before = {*cursor["done"], cursor["current"]} - {None}
        dropped = self._forget_gone(cursor, selection)
        unsynced = self._unsynced(cursor, selection)
        if cursor["current"] is None and unsynced:
            cursor["current"], cursor["last"] = unsynced[0], ""
        values: list[dict[str, Any]] = []
        current = cursor["current"]
        born = next((t.born for t in self.tablets.values() if t.number == current), 0)
        if current is not None and born <= cursor["t"] and self.random.random() < 0.7:
            self._walk_page(cursor, values, selection)
        else:
            self._change_page(cursor, values, selection)
        tracked = [*cursor["done"], *([cursor["current"]] if cursor["current"] else [])]
        truncates = [self._ref(n) for n in tracked if n not in tracked_before]
        if cursor["current"] is not None:
            status: dict[str, Any] = {"type": "snapshotting"}
        elif cursor["t"] < self.ts:
            status = {"type": "stale", "snapshotTs": cursor["t"]}
        else:
            status = {"type": "upToDate", "snapshotTs": cursor["t"]}
        page = {
            "status": status,
            "truncates": [{"component": c, "table": t} for c, t in truncates],
            "values": values,
            "syncId": "a-sync",
            "pagination": {
                "hasMore": True,
                "nextCursor": base64.b64encode(json.dumps(cursor).encode()).decode(),
            },
        }
        if self.ours:
            page["dropped"] = [{"component": c, "table": t} for c, t in dropped]
        return _answer(page)

    def _forget_gone(self, cursor: dict[str, Any], selection: Any) -> list[Ref]:
        alive = {tablet.number: tablet.ref for tablet in self.tablets.values()}
        names = cursor.setdefault("names", {})
        gone = [n for n in [*cursor["done"], cursor["current"]] if n is not None and n not in alive]
        cursor["done"] = [
            n for n in cursor["done"] if n in alive and _selected(selection, alive[n])
        ]
        if cursor["current"] is not None and cursor["current"] not in alive:
            cursor["current"] = None
        names.update({str(n): list(ref) for n, ref in alive.items()})
        return [tuple(names[str(n)]) for n in gone if tuple(names[str(n)]) not in alive.values()]

    def _unsynced(self, cursor: dict[str, Any], selection: Any) -> list[int]:
        return sorted(
            tablet.number
            for tablet in self.tablets.values()
            if tablet.number not in cursor["done"]
            and tablet.number != cursor["current"]
            and _selected(selection, tablet.ref)
        )

    def _walk_page(self, cursor: dict[str, Any], values: list[Any], selection: Any) -> None:
        documents, revised = self._at(cursor["t"], cursor["current"])
        ids = sorted(id_ for id_ in documents if id_ > cursor["last"])
        for id_ in ids[: self.page_rows]:
            ref = self._ref(cursor["current"])
            values.append(_value(ref, revised[id_], documents[id_], selection))
            cursor["last"] = id_
        if len(ids) <= self.page_rows:
            cursor["done"].append(cursor["current"])
            unsynced = self._unsynced(cursor | {"current": None}, selection)
            cursor["current"], cursor["last"] = (unsynced[0] if unsynced else None), ""

    def _change_page(self, cursor: dict[str, Any], values: list[Any], selection: Any) -> None:
        last_ts = None
        for ts, tablet, id_, document in self.log:
            if ts <= cursor["t"]:
                continue
            if last_ts is not None and ts != last_ts and len(values) >= self.page_rows:
                cursor["t"] = last_ts
                return
            last_ts = ts
            captured = tablet.number in cursor["done"] or (
                tablet.number == cursor["current"] and id_ <= cursor["last"]
            )
            if captured and self.tablets.get(tablet.ref) is tablet:
                values.append(
                    _value(tablet.ref, ts, document or {"_id": id_}, selection, document is None)
                )
        cursor["t"] = self.ts

    def _ref(self, number: int) -> Ref:
        return next(tablet.ref for tablet in self.tablets.values() if tablet.number == number)

    def _list_snapshot(self, asked: dict[str, Any]) -> Answer:
        encode = self._encoder(asked)
        if encode is None:
            return _error(400, "BadFormat")
        snapshot = asked.get("snapshot") or self.ts
        if snapshot < self.kept_from:
            return _error(400, "SnapshotTooOld")
        start = tuple(json.loads(asked["cursor"])) if asked.get("cursor") else (0, "")
        then = max((t for t in self._past if t <= snapshot), default=None)
        numbers = sorted(self._past.get(then or 0, {}))
        refs = {t.number: t.ref for _, t, _, _ in self.log} | {
            t.number: t.ref for t in self.tablets.values()
        }
        values, end = [], None
        for number in numbers:
            documents, revised = self._at(snapshot, number)
            for id_ in sorted(documents):
                if (number, id_) <= start:
                    continue
                if len(values) == self.page_rows:
                    break
                component, table = refs[number]
                values.append(
                    {"_component": component, "_table": table, "_ts": revised[id_]}
                    | encode(documents[id_])
                )
                end = [number, id_]
        more = len(values) == self.page_rows
        return _answer(
            {
                "values": values,
                "snapshot": snapshot,
                "cursor": json.dumps(end) if more else None,
                "hasMore": more,
            }
        )

    def _document_deltas(self, asked: dict[str, Any]) -> Answer:
        encode = self._encoder(asked)
        if encode is None:
            return _error(400, "BadFormat")
        if asked["cursor"] < self.kept_from:
            return _error(400, "InvalidWindowToReadDocuments")
        values: list[dict[str, Any]] = []
        read, last_ts = 0, None
        cursor, more = self.ts, False
        for ts, tablet, id_, document in self.log:
            if ts <= asked["cursor"]:
                continue
            if last_ts is not None and ts != last_ts and read >= self.page_rows:
                cursor, more = last_ts, True
                break
            last_ts = ts
            read += 1
            if self.tablets.get(tablet.ref) is not tablet:
                continue
            component, table = tablet.ref
            head = {"_component": component, "_table": table, "_ts": ts}
            values.append(head | {"_deleted": document is None} | encode(document or {"_id": id_}))
        return _answer({"values": values, "cursor": cursor, "hasMore": more})

    def _encoder(self, asked: dict[str, Any]) -> Any:
        if asked.get("format") == "export_json":
            return exported if self.has_export_format else None
        return encoded if asked.get("format") == "convex_encoded_json" else None


def exported(value: Any) -> Any:
    """A value as `export_json` has it."""
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case float() if math.isnan(value) or math.isinf(value):
            return {"$float": base64.b64encode(struct.pack("<d", value)).decode()}
        case dict():
            return {name: exported(item) for name, item in value.items()}
        case list():
            return [exported(item) for item in value]
        case _:
            return value


def encoded(value: Any) -> Any:
    """A value as `convex_encoded_json` has it."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return {"$integer": base64.b64encode(struct.pack("<q", value)).decode()}
        case float() if value == 0 and math.copysign(1, value) < 0:
            return {"$float": base64.b64encode(struct.pack("<d", value)).decode()}
        case dict():
            return {name: encoded(item) for name, item in value.items()}
        case list():
            return [encoded(item) for item in value]
        case _:
            return exported(value)


def _selected(selection: Any, ref: Ref) -> bool:
    if selection is None:
        return True
    component = selection.get(ref[0])
    if component is None:
        return bool(selection["_other"] == "included")
    chosen = component.get(ref[1], component["_other"])
    return chosen != "excluded"


def _value(
    ref: Ref, ts: int, document: Document, selection: Any, deleted: bool = False
) -> dict[str, Any]:
    columns = (selection or {}).get(ref[0], {}).get(ref[1])
    if isinstance(columns, dict):
        document = {k: v for k, v in document.items() if columns.get(k) != "excluded"}
    component, table = ref
    value = exported(document)
    return {"component": component, "table": table, "ts": ts, "deleted": deleted, "value": value}


def _answer(body: Any) -> Answer:
    return Answer(200, json.dumps(body).encode())


def _error(status: int, code: str) -> Answer:
    return Answer(status, json.dumps({"code": code, "message": f"said {code}"}).encode())
