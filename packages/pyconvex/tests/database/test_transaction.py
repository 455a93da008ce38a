"""A transaction against a plain dict: whatever is done to both, they show the same."""

import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    rule,
)

from pyconvex.database import (
    Bound,
    Bounds,
    Catalog,
    Committed,
    Committer,
    DatabaseError,
    Transaction,
)
from pyconvex.storage import Store
from pyconvex.values import UNSET

scores = st.sampled_from([0.0, 1.0, 2.0, "high", None])
TABLES = ("red", "blue")


def rank(value: object) -> tuple[int, object]:
    if value is UNSET:
        return 0, 0
    if value is None:
        return 1, 0
    return (3, value) if isinstance(value, float) else (5, value)


class TransactionAndDict(RuleBasedStateMachine):
    ids = Bundle("ids")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pyconvex-tx-"))
        self.store = Store.open(self.folder, sync=lambda fd: None)
        self.committer = Committer(self.store)
        self.reader = self.store.reader()
        self.catalog = Catalog()
        self.random = Random(3)
        self.now_ms = 1e12
        self.model: dict[str, dict[str, dict]] = {table: {} for table in TABLES}
        self.saved: list[tuple[object, dict]] = []
        self.begin()
        self.tx.namespace("").declare_table("red", {"by_score": ["score"]})
        self.commit()

    def begin(self) -> None:
        self.now_ms += 1
        self.tx = Transaction(
            self.reader, now_ms=self.now_ms, random=self.random, catalog=self.catalog
        )
        self.ns = self.tx.namespace("")

    def copy(self) -> dict[str, dict[str, dict]]:
        return {
            table: {id: dict(document) for id, document in documents.items()}
            for table, documents in self.model.items()
        }

    @rule(target=ids, table=st.sampled_from(TABLES), score=scores | st.just(UNSET))
    def insert(self, table, score):
        id = self.ns.insert(table, {"score": score})
        found = self.ns.get(id)
        given = {} if score is UNSET else {"score": score}
        assert found == {**given, "_id": id, "_creationTime": found["_creationTime"]}
        others = [doc["_creationTime"] for docs in self.model.values() for doc in docs.values()]
        assert found["_creationTime"] > max(others, default=0)
        self.model[table][id] = found
        return id

    @rule(id=ids, score=scores | st.just(UNSET), other=st.integers(0, 2))
    def patch(self, id, score, other):
        table = self.table_of(id)
        if table is None:
            with pytest.raises(DatabaseError, match=f"Update on nonexistent document ID {id}"):
                self.ns.patch(id, {"score": score})
            return
        self.ns.patch(id, {"score": score, "other": other}, table)
        document = {**self.model[table][id], "score": score, "other": float(other)}
        if score is UNSET:
            del document["score"]
        self.model[table][id] = document

    @rule(id=ids, score=scores)
    def replace(self, id, score):
        table = self.table_of(id)
        if table is None:
            with pytest.raises(DatabaseError, match=f"Replace on nonexistent document ID {id}"):
                self.ns.replace(id, {"score": score})
            return
        self.ns.replace(id, {"score": score})
        kept = {name: self.model[table][id][name] for name in ("_id", "_creationTime")}
        self.model[table][id] = {**kept, "score": score}

    @rule(id=ids)
    def delete(self, id):
        table = self.table_of(id)
        if table is None:
            with pytest.raises(DatabaseError, match=f"Delete on nonexistent document ID {id}"):
                self.ns.delete(id)
            return
        self.ns.delete(id)
        del self.model[table][id]

    @rule(id=ids)
    def get(self, id):
        table = self.table_of(id)
        assert self.ns.get(id) == (None if table is None else self.model[table][id])

    @rule(
        low=st.none() | st.tuples(scores, st.booleans()),
        high=st.none() | st.tuples(scores, st.booleans()),
        descending=st.booleans(),
        taken=st.none() | st.integers(0, 3),
    )
    def scan_by_score(self, low, high, descending, taken):
        bounds = Bounds(
            lower=Bound("score", *low) if low else None,
            upper=Bound("score", *high) if high else None,
        )
        expected = []
        for document in self.model["red"].values():
            at = rank(document.get("score", UNSET))
            above = low is None or at > rank(low[0]) or (low[1] and at == rank(low[0]))
            below = high is None or at < rank(high[0]) or (high[1] and at == rank(high[0]))
            if above and below:
                expected.append(document)
        expected.sort(key=lambda d: (rank(d.get("score", UNSET)), d["_creationTime"], d["_id"]))
        rows = self.ns.scan("red", "by_score", bounds, descending=descending)
        self.compare(rows, expected, descending, taken)

    @rule(
        table=st.sampled_from(TABLES),
        descending=st.booleans(),
        taken=st.none() | st.integers(0, 3),
    )
    def scan_by_creation(self, table, descending, taken):
        expected = sorted(
            self.model[table].values(), key=lambda document: document["_creationTime"]
        )
        self.compare(self.ns.scan(table, descending=descending), expected, descending, taken)

    def compare(self, rows, expected, descending, taken):
        if descending:
            expected.reverse()
        found = []
        for row in rows:
            if taken is not None and len(found) == taken:
                break
            found.append(row)
        assert found == expected[:taken]

    @rule()
    def save(self):
        savepoint = self.tx.savepoint()
        savepoint.__enter__()
        self.saved.append((savepoint, self.copy()))

    @rule()
    def roll_back(self):
        if self.saved:
            savepoint, self.model = self.saved.pop()
            error = ZeroDivisionError()
            assert not savepoint.__exit__(ZeroDivisionError, error, None)

    @rule()
    def keep(self):
        if self.saved:
            savepoint, _ = self.saved.pop()
            savepoint.__exit__(None, None, None)

    @rule()
    def commit(self):
        with self.tx as tx:
            [outcome] = self.committer.commit([tx.proposal()])
        assert isinstance(outcome, Committed)
        self.saved.clear()
        self.begin()

    @rule()
    def drop(self):
        """Leave without committing: what was done since the last commit never was."""
        if not self.saved:
            self.tx.close()
            self.begin()
            self.model = {
                table: {document["_id"]: document for document in self.ns.scan(table)}
                for table in TABLES
            }

    def table_of(self, id: str) -> str | None:
        return next((table for table in TABLES if id in self.model[table]), None)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.reader.close()
            self.committer.close()
            self.store.close()
            shutil.rmtree(self.folder)


TransactionAndDict.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestTransactionAndDict = TransactionAndDict.TestCase


def test_a_scan_sees_what_is_written_while_it_goes(world):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(5)])
    tx = world.begin()
    ns = tx.namespace("")
    seen = []
    for document in ns.scan("t"):
        seen.append(document["n"])
        if document["n"] == 1:
            for later in list(ns.scan("t"))[2:4]:
                ns.delete(later["_id"])
            ns.insert("t", {"n": 9})
    assert seen == [0, 1, 4, 9]


def test_a_proposal_leaves_out_what_changes_nothing(world):
    kept = world.write(lambda ns: ns.insert("t", {"n": 1}))
    tx = world.begin()
    ns = tx.namespace("")
    ns.patch(kept, {"n": 1})
    ns.patch(kept, {"n": 2})
    ns.patch(kept, {"n": 1})
    ns.delete(ns.insert("t", {"n": 5}))
    assert tx.proposal().writes == ()
    assert tx.proposal().changes_nothing()


def test_the_read_set_survives_what_is_undone(world):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(3)])
    world.write(lambda ns: ns.declare_queue("events"))
    tx = world.begin()
    ns = tx.namespace("")

    def delete_and_fail() -> None:
        with tx.savepoint():
            ns.delete(next(ns.scan("t"))["_id"])
            ns.insert("springs", {})
            ns.enqueue("events", b"row")
            raise KeyError

    with pytest.raises(KeyError):
        delete_and_fail()
    assert tx.proposal().appends == ()
    assert ns.table_names() == ["t"]
    assert tx.proposal().changes_nothing()
    assert tx.read_set().interval_count(16 << 16) == 3  # the scan, the deletion, the insertion


def test_many_rows_come_in_batches(world, field):
    world.write(lambda ns: [ns.insert("t", {"n": n}) for n in range(700)])
    up = world.read(lambda ns: field(ns.scan("t"), "n"))
    down = world.read(lambda ns: field(ns.scan("t", descending=True), "n"))
    assert up == [float(n) for n in range(700)]
    assert down == up[::-1]


def test_a_reader_that_has_a_snapshot_keeps_it(world):
    world.write(lambda ns: ns.insert("t", {}))
    reader = world.store.reader()
    pinned = reader.begin()
    world.write(lambda ns: ns.insert("t", {}))
    with Transaction(reader, now_ms=1.0, random=Random(1)) as tx:
        assert tx.head == pinned
        assert len(list(tx.namespace("").scan("t"))) == 1
    assert reader.head is None
    reader.close()
