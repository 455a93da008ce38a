"""The older export, and that it agrees with data sync."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from data_life import Life
from export_world import SECRET, Consumer, ExportWorld, State, exported, kept
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyconvex.export import legacy
from pyconvex.export.answers import Answers
from pyconvex.export.messages import (
    CursorFromDeltas,
    DocumentDeltas,
    ExportRequest,
    Head,
    ListSnapshot,
    SelectionText,
)
from pyconvex.storage import retention
from pyconvex.values import Int64, codec

ALL = SelectionText()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ExportWorld]:
    world = ExportWorld(tmp_path / "data")
    yield world
    world.close()


class Reader:
    """What a connector does: a walk at a snapshot, then the changes since."""

    def __init__(self, world: ExportWorld, format: str = "export_json") -> None:
        self.world = world
        self.format = format
        self.answers: Answers = world.answers
        self.state: State = {}
        self.snapshot: int | None = None
        self.cursor: str | None = None
        self.deltas: int | None = None
        self.seen: list[str] = []

    def ask(self, request: ExportRequest) -> dict[str, Any]:
        head, body = self.answers.answer(request)
        assert head.status == 200, head
        page: dict[str, Any] = json.loads(body)
        return page

    def walk_on(self) -> bool:
        """One page of the walk; False when it was the last."""
        asked = ListSnapshot(
            self.snapshot, self.cursor, ALL, self.format, self.world.store.visible_ts
        )
        page = self.ask(asked)
        self.snapshot, self.cursor = page["snapshot"], page["cursor"]
        for row in page["values"]:
            self.seen.append(row["_id"])
            self._put(row)
        assert page["hasMore"] == (self.cursor is not None)
        return bool(page["hasMore"])

    def follow(self) -> None:
        """All changes that there are."""
        self.deltas = self.snapshot if self.deltas is None else self.deltas
        more = True
        while more:
            assert self.deltas is not None
            page = self.ask(DocumentDeltas(self.deltas, ALL, self.format))
            for row in page["values"]:
                assert row["_ts"] > self.deltas
                if row["_deleted"]:
                    assert set(row) == {"_component", "_table", "_ts", "_deleted", "_id"}
                    self.state.get((row["_component"], row["_table"]), {}).pop(row["_id"], None)
                else:
                    del row["_deleted"]
                    self._put(row)
            self.deltas, more = page["cursor"], page["hasMore"]

    def _put(self, row: dict[str, Any]) -> None:
        del row["_ts"]
        table = (row.pop("_component"), row.pop("_table"))
        self.state.setdefault(table, {})[row["_id"]] = row


@settings(max_examples=settings.default.max_examples // 10, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 40))
def test_a_walk_and_the_changes_since_give_what_data_sync_gives(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int
) -> None:
    world = ExportWorld(tmp_path_factory.mktemp("world") / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(legacy, "SNAPSHOT_ROWS", rows)
        patch.setattr(legacy, "DELTA_ROWS", rows)
        try:
            walk_while_it_changes(world, Random(seed))
        finally:
            world.close()


def walk_while_it_changes(world: ExportWorld, random: Random) -> None:
    for component in ("mail", "mail/deep"):
        world.mount(component)
    life = Life(world, random, drops=False)  # the older export has no sign of that
    for _ in range(25):
        life.change()
    reader = Reader(world)
    while reader.walk_on():
        for _ in range(random.choice([0, 1, 2])):
            life.change()
        if random.random() < 0.2:  # another process goes on with the walk
            reader.answers = world.new_answers()
    assert reader.snapshot is not None
    assert kept(reader.state) == kept(world.history[reader.snapshot]), "as it was at the snapshot"
    assert len(reader.seen) == len(set(reader.seen)), "each document once"
    life.change()
    reader.follow()
    new = Consumer(world)
    new.settle()
    assert kept(reader.state) == kept(new.state) == kept(world.state)


def test_a_document_that_replaced_a_forgotten_version_comes_as_it_is_now(tmp_path: Path) -> None:
    now = [10**18]
    world = ExportWorld(tmp_path / "data", clock_ns=lambda: now[0])
    ids = [world.insert("a", {"n": float(n)}) for n in range(3)]
    now[0] += retention.REVISION_RETENTION_NS + 10**9
    while world.store.sweep():
        pass
    reader = Reader(world)
    reader.walk_on()
    reader.cursor, reader.state, reader.seen = None, {}, []  # the walk begins again there
    world.write(lambda db: db.patch(ids[0], {"n": 10.0}))
    world.write(lambda db: db.delete(ids[1]))
    assert not reader.walk_on()
    assert set(reader.state["", "a"]) == {ids[0], ids[2]}
    reader.follow()
    assert reader.state == world.state
    world.close()


@pytest.mark.parametrize(
    "format", ["json", "convex_clean_json", "convex_encoded_json", "convex_json", "export_json"]
)
def test_the_formats_are_those_of_the_house(world: ExportWorld, format: str) -> None:
    edges: dict[str, Any] = {
        "ints": [Int64(0), Int64(-1), Int64(2**63 - 1), Int64(-(2**63))],
        "floats": [0.0, -0.0, 1e300, 5e-324, math.nan, math.inf, -math.inf, 2.0**53],
        "bytes": [b"", b"\0", b"\xff" * 100],
        "text": ["", "\0", '{"$integer":"AAAAAAAAAAA="}', '\\"{', "ä€😀", '"$bytes"'],
        "deep": {"a": [{"b": None, "c": [Int64(7), b"x"]}], "": True},
        "none": None,
    }
    id = world.insert("edges", edges)
    document = world.write(lambda db: db.get(id))
    head, body = world.answers.answer(ListSnapshot(None, None, ALL, format, 0))
    assert head.status == 200
    [row] = json.loads(body)["values"]
    ts = row["_ts"]
    expected = codec.encode_as(document, format)
    assert b'{"_component":"","_table":"edges","_ts":%d,' % ts + expected[1:] in body


def test_selections_of_tables(world: ExportWorld) -> None:
    world.mount("mail")
    for component, table in (("", "a"), ("", "b"), ("mail", "a")):
        world.insert(table, {"n": 1.0, "m": 2.0}, component)

    def seen(selection: SelectionText) -> list[tuple[str, str]]:
        _, walk = world.answers.answer(ListSnapshot(None, None, selection, "json", 0))
        _, deltas = world.answers.answer(DocumentDeltas(0, selection, "json"))
        found = [
            sorted((row["_component"], row["_table"]) for row in json.loads(body)["values"])
            for body in (walk, deltas)
        ]
        assert found[0] == found[1]
        return found[0]

    assert len(seen(ALL)) == 3
    assert seen(SelectionText(table="a")) == [("", "a")]
    assert seen(SelectionText(component="mail", table="a")) == [("mail", "a")]
    assert seen(SelectionText(component="mail")) == [("mail", "a")]
    some = b'{"_other":"excl","":{"_other":"excl","b":{"_other":"excl","_id":"incl","n":"incl"}}}'
    assert seen(SelectionText(some)) == [("", "b")]
    _, body = world.answers.answer(ListSnapshot(None, None, SelectionText(some), "json", 0))
    assert set(json.loads(body)["values"][0]) == {"_component", "_table", "_ts", "_id", "n"}


def test_what_can_not_be_walked_says_so(world: ExportWorld) -> None:
    world.insert("a", {"n": 1.0})
    head_ts = world.store.visible_ts

    def code(request: ExportRequest) -> str:
        head: Head = world.answers.answer(request)[0]
        assert (head.status, bool(head.message)) == (400, True)
        return head.code

    old = legacy.MAX_SNAPSHOT_AGE_NS + 1
    assert code(ListSnapshot(head_ts + 1, None, ALL, "json", 0)) == "SnapshotTooNew"
    assert code(ListSnapshot(head_ts, None, ALL, "json", head_ts + old)) == "SnapshotTooOld"
    for cursor in ("", "x", "[]", '{"tablet":"x","id":""}', '{"tablet":"1","id":"nothing"}'):
        asked = ListSnapshot(head_ts, cursor, ALL, "json", 0)
        assert code(asked) == "InvalidListSnapshotCursor"
    assert code(ListSnapshot(None, None, ALL, "yaml", 0)) == "BadFormat"
    assert code(DocumentDeltas(0, ALL, "yaml")) == "BadFormat"
    assert code(DocumentDeltas(head_ts + 1, ALL, "json")) == "InvalidWindowToReadDocuments"
    assert code(DocumentDeltas(-1, ALL, "json")) == "InvalidWindowToReadDocuments"
    assert code(CursorFromDeltas(head_ts + 1, ALL, "s")) == "InvalidDataSyncCursor"
    assert code(CursorFromDeltas(-1, ALL, "s")) == "InvalidDataSyncCursor"


def test_changes_that_are_forgotten_are_refused(tmp_path: Path) -> None:
    now = [10**18]
    world = ExportWorld(tmp_path / "data", clock_ns=lambda: now[0])
    world.insert("a", {"n": 1.0})
    first = world.store.visible_ts
    world.insert("a", {"n": 2.0})
    now[0] += retention.REVISION_RETENTION_NS + 10**9
    while world.store.sweep():
        pass
    head, _ = world.answers.answer(DocumentDeltas(first, ALL, "json"))
    assert (head.status, head.code) == (400, "InvalidWindowToReadDocuments")
    head, _ = world.answers.answer(ListSnapshot(first, None, ALL, "json", first))
    assert (head.status, head.code) == (400, "SnapshotTooOld")
    world.close()


def test_an_older_cursor_becomes_one_of_data_sync(world: ExportWorld) -> None:
    kept_id = world.insert("a", {"n": 1.0})
    gone_id = world.insert("a", {"n": 2.0})
    at = world.store.visible_ts
    world.write(lambda db: db.delete(gone_id))
    new_id = world.insert("b", {"n": 3.0})
    consumer = Consumer(world)
    kept_one = exported(world.write(lambda db: db.get(kept_id)))
    consumer.state = {("", "a"): {kept_id: kept_one, gone_id: {}}}
    head, body = world.answers.answer(CursorFromDeltas(at, ALL, "sync"))
    assert head.status == 200
    consumer.cursor = json.loads(body)["cursor"]
    consumer.state["", "b"] = {}
    consumer.settle()
    assert consumer.state == world.state
    assert set(consumer.state["", "b"]) == {new_id}
    assert SECRET.decode() not in body.decode()
