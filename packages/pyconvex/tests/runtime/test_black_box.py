"""The memory that is still there when an isolate is not."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runtime.processes import black_box
from pyconvex.runtime.processes.black_box import BlackBox, BoxReader, Entry, SharedBlackBox

HALF = 512
STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 4), st.integers(0, 255), st.binary(max_size=150)),
        st.integers(1, 4),  # this run is over
    ),
    max_size=60,
)


@contextmanager
def both_ends(half: int = HALF) -> Iterator[tuple[BlackBox, BoxReader]]:
    reader = BoxReader(half)
    try:
        yield SharedBlackBox(reader.fd), reader
    finally:
        reader.close()


@given(STEPS)
def test_of_runs_under_way_it_has_all_but_what_it_counts(steps: list[Any]) -> None:
    told: dict[int, list[Entry]] = {}
    ids = {slot: slot for slot in range(1, 5)}
    with both_ends() as (box, reader):
        for step in steps:
            if isinstance(step, int):
                box.forget(ids[step])
                told.pop(ids[step], None)
                ids[step] += 4  # an id is one run's
                continue
            slot, kind, body = step
            entry = Entry(ids[slot], kind, body)
            before = reader.read().left_out
            box.begin(entry.run_id)
            box.append(*entry)
            contents = reader.read()
            if contents.left_out == before:
                told.setdefault(entry.run_id, []).append(entry)
            else:
                assert contents.left_out == before + 1
                total = sum(17 + len(each.body) for of_run in told.values() for each in of_run)
                assert total + 17 + len(entry.body) > HALF, "there was room"
            for run_id, entries in told.items():
                assert [each for each in contents.entries if each.run_id == run_id] == entries
        if steps and not told:
            assert reader.read() == ([], 0)


@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=8),
    st.integers(0, 500),
    st.binary(min_size=1, max_size=40),
)
def test_what_something_wrote_over_is_not_read(
    bodies: list[bytes], at: int, garbage: bytes
) -> None:
    with both_ends() as (box, reader):
        for number, body in enumerate(bodies):
            box.begin(number)
            box.append(number, 1, body)
        whole = reader.read().entries
        os.pwrite(reader.fd, garbage, at)
        for entry in reader.read().entries:
            assert entry in whole


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8), st.data())
def test_what_was_torn_is_not_read_and_the_rest_is(
    bodies: list[bytes], data: st.DataObject
) -> None:
    with both_ends() as (box, reader):
        box.begin(7)
        for body in bodies:
            box.append(7, 1, body)
        whole = reader.read().entries
        ends = [64]
        for body in bodies:
            ends.append(ends[-1] + 17 + len(body))
        cut = data.draw(st.integers(64, ends[-1]))
        os.pwrite(reader.fd, cut.to_bytes(8, "little"), 0)
        assert reader.read().entries == whole[: sum(end <= cut for end in ends[1:])]


def test_one_that_nobody_wrote_to_is_empty() -> None:
    reader = BoxReader(HALF)
    assert reader.read() == ([], 0)
    os.ftruncate(reader.fd, 4)  # by whoever has the descriptor
    assert reader.read() == ([], 0)
    reader.close()
    reader.close()


def test_where_the_system_has_no_such_memory_a_file_without_a_name_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(name: str) -> int:
        raise OSError(errno.ENOSYS, "no such call")

    monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    with both_ends() as (box, reader):
        box.begin(1)
        box.append(1, 1, b"kept")
        assert reader.read().entries == [Entry(1, 1, b"kept")]


def test_it_is_there_when_the_process_was_killed_in_the_middle() -> None:
    with both_ends(1 << 20) as (_, reader):
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            box, number = BlackBox(reader.fd), 0
            box.begin(1)
            while True:
                box.append(1, 1, b"%d" % number)
                number += 1
                if number == 1000:
                    os.write(tell, b"x")
        os.read(ready, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(tell)
        bodies = [entry.body for entry in reader.read().entries]
        assert len(bodies) >= 1000
        assert bodies == [b"%d" % number for number in range(len(bodies))]


def test_threads_share_it() -> None:
    with both_ends(1 << 20) as (box, reader):

        def work(run_id: int) -> None:
            box.begin(run_id)
            for number in range(500):
                box.append(run_id, 1, b"%d" % number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for run_id in range(4):
            found = [each.body for each in reader.read().entries if each.run_id == run_id]
            assert found == [b"%d" % number for number in range(500)]


def test_a_process_that_a_function_forks_writes_nothing_into_it() -> None:
    with both_ends() as (box, reader):
        box.begin(1)
        box.append(1, 1, b"before")
        pid = os.fork()
        if pid == 0:
            box.append(1, 1, b"the child's")
            box.forget(1)
            os._exit(0)
        os.waitpid(pid, 0)
        box.append(1, 1, b"after")
        assert [entry.body for entry in reader.read().entries] == [b"before", b"after"]


@pytest.mark.skipif(not hasattr(mmap, "MADV_REMOVE"), reason="the system keeps the memory")
def test_memory_that_a_run_needed_is_given_back() -> None:
    with both_ends(4 << 20) as (box, reader):
        box.begin(1)
        for _ in range(40):
            box.append(1, 1, b"x" * 50_000)
        assert os.fstat(reader.fd).st_blocks * 512 > black_box._KEPT_BYTES
        box.forget(1)
        assert os.fstat(reader.fd).st_blocks * 512 < 64 * 1024
        box.begin(2)
        box.append(2, 1, b"next")
        assert reader.read() == ([Entry(2, 1, b"next")], 0)
