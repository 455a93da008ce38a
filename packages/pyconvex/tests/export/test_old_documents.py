"""What a document was before each change: the very version, where the log still knows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from export_world import Consumer, ExportWorld

from pyconvex.export.data_sync import PageLimits
from pyconvex.export.messages import DataSync, DocumentDeltas, SelectionText
from pyconvex.storage import retention

WEEK_NS = 7 * 24 * 3600 * 10**9


@pytest.fixture
def now() -> list[int]:
    return [10**18]


@pytest.fixture
def world(tmp_path: Path, now: list[int]) -> Iterator[ExportWorld]:
    world = ExportWorld(tmp_path / "data", clock_ns=lambda: now[0])
    yield world
    world.close()


def patched(world: ExportWorld, id: str, component: str = "", **fields: Any) -> None:
    world.write(lambda db: db.patch(id, fields), component)


def told(consumer: Consumer) -> list[Any]:
    """The field `n` of what was before, for each entry of the last page: -1 where nothing is said,
    None where there was nothing."""
    found: list[Any] = []
    for row in consumer.pages[-1]["values"]:
        old = row.get("oldDocument", {"n": -1})
        found.append(None if old is None else old["n"])
    return found


def test_each_change_has_the_version_before_it(world: ExportWorld) -> None:
    id = world.insert("a", {"n": 1.0})
    consumer, plain = Consumer(world, tell_old_document=True), Consumer(world)
    consumer.settle()
    plain.settle()
    assert told(consumer) == [-1], "a table that is read for the first time is no change"
    for n in (2.0, 3.0):
        patched(world, id, n=n)
    world.insert("a", {"n": 9.0})
    world.write(lambda db: db.delete(id))
    consumer.settle()
    plain.settle()
    assert told(consumer) == [1.0, 2.0, None, 3.0]
    assert all("oldDocument" not in row for page in plain.pages for row in page["values"])


def test_many_changes_of_what_one_transaction_wrote(world: ExportWorld) -> None:
    ids = world.write(lambda db: [db.insert("a", {"n": float(n)}) for n in range(300)])
    consumer = Consumer(world, tell_old_document=True)
    consumer.settle()
    for id in ids:
        patched(world, id, n=-2.0)
    consumer.settle()
    assert told(consumer) == [float(n) for n in range(300)]


def test_components_have_theirs_too_and_hidden_columns_stay_hidden(world: ExportWorld) -> None:
    world.mount("mail")
    columns = {"_other": "included", "ssn": "excluded"}
    selection = {"_other": "included", "mail": {"_other": "included", "sent": columns}}
    asked = json.dumps(selection).encode()
    consumer = Consumer(world, selection=asked, tell_old_document=True)
    id = world.insert("sent", {"n": 1.0, "ssn": "canary"}, "mail")
    consumer.settle()
    patched(world, id, "mail", n=2.0)
    consumer.settle()
    assert told(consumer) == [1.0]
    assert "canary" not in str(consumer.pages)


def test_what_the_log_has_forgotten_is_not_told(world: ExportWorld, now: list[int]) -> None:
    old, young = world.insert("a", {"n": 1.0}), world.insert("a", {"n": 2.0})
    now[0] += WEEK_NS
    patched(world, young, n=3.0)
    consumer = Consumer(world, tell_old_document=True)
    consumer.settle()
    now[0] += retention.REVISION_RETENTION_NS - WEEK_NS + 10**9
    while world.store.sweep():
        pass
    patched(world, old, n=4.0)
    patched(world, young, n=5.0)
    consumer.tells_all = False
    consumer.settle()
    assert told(consumer) == [-1, 3.0]


def test_pages_end_by_the_bytes_of_what_was_too(world: ExportWorld) -> None:
    def text(n: int) -> dict[str, Any]:
        return {"n": float(n), "s": "x" * (1024 * 1024 - 200)}

    ids = [world.insert("a", text(n)) for n in range(6)]
    consumer = Consumer(world, tell_old_document=True)
    consumer.settle()
    for id in ids:
        patched(world, id, s="")
    answers = world.new_answers(PageLimits(100, 2 * 1024 * 1024, 100))
    before = len(consumer.pages)
    while consumer.step(answers) != "upToDate":
        assert 1 <= len(consumer.pages[-1]["values"]) <= 3
    assert len(consumer.pages) - before >= 2
    answers.close()


def test_lines_have_it_too(world: ExportWorld) -> None:
    id = world.insert("a", {"n": 1.0})
    consumer = Consumer(world)
    consumer.settle()
    patched(world, id, n=2.0)
    asked = DataSync(consumer.cursor, SelectionText(), "s", lines=True, tell_old_document=True)
    _, body = world.answers.answer(asked)
    _, row = body.splitlines()
    assert json.loads(row)["oldDocument"]["n"] == 1.0


def test_the_older_export_tells_it_in_its_own_format(world: ExportWorld) -> None:
    id = world.insert("a", {"n": 1.0, "b": b"x"})
    since = world.store.visible_ts
    patched(world, id, n=2.0)
    world.write(lambda db: db.delete(id))
    world.insert("a", {"n": 7.0})
    for told in (False, True):
        asked = DocumentDeltas(since, SelectionText(), "json", tell_old_document=told)
        _, body = world.answers.answer(asked)
        rows = json.loads(body)["values"]
        assert ["_oldDocument" in row for row in rows] == [told] * 3
    assert [row["_oldDocument"] and row["_oldDocument"]["n"] for row in rows] == [1.0, 2.0, None]
    assert rows[0]["_oldDocument"]["b"] == "eA=="
    assert rows[0]["_oldDocument"]["_id"] == id
