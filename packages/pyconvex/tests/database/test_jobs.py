"""Scheduled functions as rows: any order of steps leaves document, queue and arguments as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pyconvex.database import Catalog, Committed, Committer, Transaction, jobs
from pyconvex.storage import Store
from pyconvex.values import codec

HOMES = ("", "first", "first/inner")
NOW_MS = 1_700_000_000_000.0

picks = st.integers(0, 10_000)
delays = st.floats(-60_000.0, 60_000.0)
sizes = st.sampled_from([0, 10, 4_000, 5_000, 1_500_000])


@dataclass
class Model:
    """What a job should be."""

    home: str
    due_ms: float
    size: int
    kind: str = "pending"
    ended_ms: float | None = None
    attempts: int = 0
    losses: int = 0


class JobsMachine(RuleBasedStateMachine):
    """Jobs of several components beside a model, each step in a transaction of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = Store.open(Path(self.folder.name) / "data", sync=lambda fd: None)
        self.committer = Committer(self.store)
        self.random = Random(1)
        self.now_ms = NOW_MS
        self.model: dict[str, Model] = {}

    def teardown(self) -> None:
        self.committer.close()
        self.store.close()
        self.folder.cleanup()

    def do(self, work: Any) -> Any:
        reader = self.store.reader()
        try:
            tx = Transaction(reader, now_ms=self.now_ms, random=self.random, catalog=Catalog())
            result = work(tx)
            if not tx.proposal().changes_nothing():
                [outcome] = self.committer.commit([tx.proposal()])
                assert isinstance(outcome, Committed), outcome
        finally:
            reader.close()
        return result

    def one(self, pick: int) -> tuple[str, Model] | None:
        known = sorted(self.model)
        return (known[pick % len(known)], self.model[known[pick % len(known)]]) if known else None

    @initialize()
    def declare(self) -> None:
        self.do(lambda tx: jobs.declare(tx, HOMES))

    @rule(home=st.sampled_from(HOMES), delay=delays, size=sizes, canceled=st.booleans())
    def schedule(self, home: str, delay: float, size: int, canceled: bool) -> None:
        if sum(model.size for model in self.model.values()) > 4_000_000:
            size = min(size, 5_000)  # the invariants read all of it in one transaction
        due_ms = self.now_ms + delay
        arguments = codec.encode({"text": "x" * size})
        job = jobs.NewJob(home, "lib:run", "action", arguments, due_ms)
        id = self.do(lambda tx: jobs.schedule(tx, home, job, canceled=canceled))
        self.model[id] = Model(home, due_ms, size)
        if canceled:
            self.ended(id, "canceled")

    @rule(pick=picks)
    def begin(self, pick: int) -> None:
        if found := self.one(pick):
            id, model = found
            begun = self.do(lambda tx: jobs.begin(tx, model.home, id))
            assert begun == (model.kind == "pending")
            if begun:
                model.kind = "inProgress"
                model.attempts += 1

    @rule(pick=picks, step=st.sampled_from(["succeed", "fail", "cancel"]))
    def end(self, pick: int, step: str) -> None:
        if found := self.one(pick):
            id, model = found
            now_ms = self.now_ms
            steps: dict[str, Any] = {
                "succeed": lambda tx: jobs.succeed(tx, model.home, id, now_ms),
                "fail": lambda tx: jobs.fail(tx, model.home, id, "no", now_ms),
                "cancel": lambda tx: jobs.cancel(tx, model.home, id, now_ms),
            }
            self.do(steps[step])
            if model.kind in ("pending", "inProgress"):
                kinds = {"succeed": "success", "fail": "failed", "cancel": "canceled"}
                self.ended(id, kinds[step])

    @rule(pick=picks, delay=delays, lost=st.booleans())
    def put_off(self, pick: int, delay: float, lost: bool) -> None:
        if found := self.one(pick):
            id, model = found
            due_ms = self.now_ms + delay
            put_off = self.do(lambda tx: jobs.put_off(tx, model.home, id, due_ms, lost=lost))
            assert put_off == (model.kind in ("pending", "inProgress"))
            if put_off:
                model.kind, model.due_ms = "pending", due_ms
                model.losses += lost

    @rule(days=st.floats(0.0, 4.0), limit=st.integers(1, 5))
    def time_passes(self, days: float, limit: int) -> None:
        self.now_ms += days * 24 * 3600 * 1000
        forgotten = self.do(lambda tx: jobs.forget(tx, self.now_ms, limit))
        old = sorted(
            (model.ended_ms + jobs.KEPT_MS, id)
            for id, model in self.model.items()
            if model.ended_ms is not None and model.ended_ms + jobs.KEPT_MS <= self.now_ms
        )
        assert forgotten == min(limit, len(old))
        left = {row["_id"] for home in HOMES for row in self.documents(home)}
        gone = set(self.model) - left
        assert len(gone) == forgotten
        assert gone <= {id for _, id in old}
        for id in gone:
            del self.model[id]

    def ended(self, id: str, kind: str) -> None:
        self.model[id].kind = kind
        self.model[id].ended_ms = self.now_ms

    def documents(self, home: str) -> list[dict[str, Any]]:
        def look(tx: Transaction) -> list[dict[str, Any]]:
            tables = tx.namespace(home).system
            return [jobs.visible(tables, row) for row in tables.scan(jobs.FUNCTIONS)]

        return self.do(look)  # type: ignore[no-any-return]

    @invariant()
    def documents_and_queue_say_what_the_model_says(self) -> None:
        for home in HOMES:
            for shown in self.documents(home):
                model = self.model[shown["_id"]]
                assert model.home == home
                assert shown["state"]["kind"] == model.kind
                assert shown.get("completedTime") == model.ended_ms
                assert shown["args"] == [{"text": "x" * model.size}]
                assert shown["name"] == "lib.py:run"
        waiting = self.do(lambda tx: jobs.pending(tx, 1_000))
        assert [job.due_ms for job in waiting] == sorted(job.due_ms for job in waiting)
        running = self.do(lambda tx: jobs.running(tx, 1_000))
        for kind, found in (("pending", waiting), ("inProgress", running)):
            expected = {
                (id, model.home, model.due_ms, model.attempts, model.losses)
                for id, model in self.model.items()
                if model.kind == kind
            }
            assert {(j.id, j.home, j.due_ms, j.attempts, j.losses) for j in found} == expected

    @invariant()
    def nothing_else_is_kept(self) -> None:
        parts = sum(-(-(model.size + 11) // 1_000_000) for model in self.model.values()
                    if model.size + 11 > 4_096)  # fmt: skip

        def count(tx: Transaction) -> tuple[int, int]:
            stored = sum(
                len(list(tx.namespace(home).system.scan("_scheduled_arguments"))) for home in HOMES
            )
            return stored, len(list(tx.namespace("").system.scan("_scheduled_queue")))

        if self.model or self.store.visible_ts:
            assert self.do(count) == (parts, len(self.model))


JobsMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestJobs = JobsMachine.TestCase
