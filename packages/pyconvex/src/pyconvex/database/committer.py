"""Deciding which proposals become commits.

Owns validation (did anything that was read change since?), the write log and the subscriptions.
Never runs functions and never waits for the disk. One invariant: the commits, in timestamp order,
are a serial history: each one read exactly what all earlier ones left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from pyconvex.database.catalog import TABLES, table_of
from pyconvex.database.reads import ReadSet, Stretch
from pyconvex.database.subscriptions import Subscriptions
from pyconvex.database.writelog import OutOfRetention, Overlap, WriteLog
from pyconvex.storage import Appended, Proposal, Reader, Rejected, Replayed, Store, pending
from pyconvex.values import codec, ids, order


class Committed(msgspec.Struct, frozen=True):
    """Visible at `ts`; for a proposal that changed nothing, its snapshot's timestamp."""

    ts: int
    dropped_rows: int = 0


class Conflict(msgspec.Struct, frozen=True):
    """Something that was read has changed: run again at a snapshot of `retry_after_ts` or later.

    Table and document are of one write that did it, when they can be named, `component` is whose
    table it is, and `source` is the function that wrote it, unless the host did. `contested` is
    where it was read.
    """

    retry_after_ts: int
    table: str | None = None
    document: str | None = None
    source: str | None = None
    contested: Stretch | None = None
    component: str = ""

    def message(self, path: str) -> str:
        """What to tell the caller of the function at `path` when no further retry is made; Convex's
        text.
        """
        table = f'the "{self.table}" table' if self.table else "some table"
        who = "Another call to this mutation"
        if self.source != path:
            who = f'A call to "{self.source}"' if self.source else "Another call"
        document = (
            f' {who} changed the document with ID "{self.document}".' if self.document else ""
        )
        return (
            f"Documents read from or written to {table} changed while this mutation was being run "
            f"and on every subsequent retry.{document} See https://docs.convex.dev/error#1"
        )


class _Table(NamedTuple):
    component: str
    name: str
    number: int


CommitOutcome: TypeAlias = Committed | Conflict | Rejected | Replayed


class Committer:
    """Turns proposals into commits, on one thread.

    `log` and `subscriptions` follow each commit before `commit` returns. `StorageFailure` means
    that none of the given proposals was committed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names = store.reader()
        self._tables: dict[int, _Table] = {}
        self.log = WriteLog(store.visible_ts)
        self.subscriptions = Subscriptions(self.log)

    def close(self) -> None:
        self._names.close()

    def commit(self, proposals: Sequence[Proposal]) -> list[CommitOutcome]:
        """Judge and apply proposals in the given order; one outcome each.

        A proposal is judged against every commit since its snapshot and against those before it in
        the same call. All that pass are applied in one storage transaction, but for those whose
        documents wait for their commit's timestamp: only when they are applied is it known which
        keys the others must not have read.
        """
        outcomes: list[CommitOutcome] = []
        together: list[Proposal] = []
        for proposal in proposals:
            together.append(proposal)
            if pending.waits(proposal.writes):
                outcomes += self._commit_together(together)
                together = []
        return outcomes + self._commit_together(together)

    def _commit_together(self, proposals: Sequence[Proposal]) -> list[CommitOutcome]:
        verdicts = self._judge(proposals)
        passed = [
            proposal
            for proposal, verdict in zip(proposals, verdicts, strict=True)
            if verdict is None
        ]
        applied = iter(self._store.append(passed) if passed else ())
        outcomes: list[CommitOutcome] = []
        for proposal, verdict in zip(proposals, verdicts, strict=True):
            outcomes.append(verdict or self._publish(proposal, next(applied)))
        return outcomes

    def _judge(self, proposals: Sequence[Proposal]) -> list[Committed | Conflict | None]:
        """What already stands about each proposal; None for those that may be applied."""
        batch = WriteLog(0)
        verdicts: list[Committed | Conflict | None] = []
        for place, proposal in enumerate(proposals, 1):
            if proposal.changes_nothing():
                # Serial at its own snapshot, whatever happened since.
                done = proposal.replay is None
                verdicts.append(Committed(proposal.snapshot_ts) if done else None)
                continue
            verdict = self._conflict(proposal, batch)
            verdicts.append(verdict)
            if verdict is None and place < len(proposals):
                batch.append(place, proposal.writes, proposal.source)
        return verdicts

    def _conflict(self, proposal: Proposal, batch: WriteLog) -> Conflict | None:
        if proposal.snapshot_ts >= self.log.newest_ts and not batch.newest_ts:
            return None  # as on every hot document: nobody has committed since
        reads = ReadSet.decode(proposal.reads)
        try:
            overlap = self.log.first_overlap(reads, proposal.snapshot_ts)
        except OutOfRetention:
            return Conflict(self._store.visible_ts)
        if overlap is not None:
            return self._named(overlap, overlap.ts, reads)
        if (overlap := batch.first_overlap(reads, 0)) is not None:
            return self._named(overlap, self._store.visible_ts + 1, reads)
        return None

    def _publish(
        self, proposal: Proposal, outcome: Appended | Rejected | Replayed
    ) -> CommitOutcome:
        if not isinstance(outcome, Appended):
            return outcome
        if proposal.writes:
            writes = pending.settled(proposal.writes, outcome.ts)
            self.log.append(outcome.ts, writes, proposal.source)
            self.subscriptions.publish(outcome.ts, writes)
        return Committed(outcome.ts, outcome.dropped_rows)

    def _named(self, overlap: Overlap, ts: int, reads: ReadSet) -> Conflict:
        contested = reads.stretch(overlap.index_id, overlap.key)
        table = self._table_of(overlap.tablet)
        if table is None:
            return Conflict(ts, contested=contested)
        document = ids.encode_id(table.number, overlap.id)
        source = overlap.source or None
        return Conflict(ts, table.name, document, source, contested, table.component)

    def _table_of(self, tablet: int) -> _Table | None:
        """The table of a tablet; tablets are never renamed, so each is asked for once."""
        if tablet not in self._tables:
            self._names.begin()
            found = _registered(self._names, tablet)
            self._names.end()
            if found is None:
                return None
            self._tables[tablet] = found
        return self._tables[tablet]


def _registered(reader: Reader, tablet: int) -> _Table | None:
    key = order.encode_key([tablet])
    index = TABLES.indexes["by_tablet"]
    rows = reader.scan(index.id, key, key + b"\0", descending=False, limit=1)
    if not rows:
        return None
    row = codec.decode(rows[0][3])
    assert isinstance(row, dict)
    table = table_of(row)
    return _Table(table.component, table.name, table.number)
