"""The entries of a record, one by one, and their ids."""

from __future__ import annotations

import doctest
import uuid

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runlog import LogLine, Report, RunRecord, entries
from pyconvex.runlog.entries import entries_of, entry_id

LOGS = frozenset({"log"})
NAMESPACE = uuid.UUID("0d6f7d0c-8f0e-4d7c-9b0a-0b8a3d2f6c55")


@given(st.text(), st.integers(0, 70_000))
def test_an_id_is_a_uuid_of_version_5(execution_id: str, number: int) -> None:
    try:
        expected = str(uuid.uuid5(NAMESPACE, f"{execution_id}:{number}"))
    except UnicodeEncodeError:
        return
    assert entry_id(execution_id, number) == expected


def test_rows_of_records_that_follow_each_other_keep_their_runs_apart() -> None:
    def record(n: int) -> RunRecord:
        lines = tuple(LogLine("LOG", f"{n}.{k}", 1.0) for k in range(3))
        return RunRecord(
            ts_ms=1.0, began_ms=1.0, request_id=f"r{n}", execution_id=f"x{n}", kind="query",
            path="a:b", report=Report(lines=lines, user_id=f"u{n}"),
        )  # fmt: skip

    found = [entry for n in range(200) for entry in entries_of(record(n), LOGS)]
    told = [(e.value.text, e.run.request_id, e.run.report.user_id) for e in found]
    assert told == [(f"{n}.{k}", f"r{n}", f"u{n}") for n in range(200) for k in range(3)]
    assert len({e.id for e in found}) == 600


def test_examples() -> None:
    outcome = doctest.testmod(entries)
    assert outcome.attempted
    assert outcome.failed == 0
