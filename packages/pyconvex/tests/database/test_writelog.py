import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.database import OutOfRetention, Overlap, ReadSet, WriteLog
from pyconvex.storage import DocumentWrite

keys = st.binary(min_size=1, max_size=1)
writes = st.builds(
    lambda id, old, new: DocumentWrite(10, id, b"", 1, tuple(old), tuple(new)),
    keys,
    st.lists(st.tuples(st.integers(11, 12), keys), max_size=1),
    st.lists(st.tuples(st.integers(11, 12), keys), max_size=1),
)


@given(
    st.lists(st.lists(writes, min_size=1, max_size=3), max_size=12),
    st.lists(st.tuples(st.integers(10, 12), keys, keys), max_size=4),
    st.integers(0, 12),
    st.none() | st.integers(0, 12),
)
def test_the_first_overlap_is_the_first_by_hand(commits, ranges, after, through):
    log = WriteLog(0)
    reads = ReadSet()
    for index_id, start, end in ranges:
        reads.add_range(index_id, start, end)
    for ts, commit in enumerate(commits, 1):
        log.append(ts, commit, f"f:{ts}")
    expected = [
        (ts, write)
        for ts, commit in enumerate(commits, 1)
        if ts > after and (through is None or ts <= through)
        for write in commit
        if any(reads.overlaps(*place) for place in write.touched())
    ]
    found = log.first_overlap(reads, after, through)
    if not expected:
        assert found is None
    else:
        first_ts = expected[0][0]
        assert found in [
            Overlap(ts, w.tablet, w.id, f"f:{ts}", *place)
            for ts, w in expected
            if ts == first_ts
            for place in w.touched()
            if reads.overlaps(*place)
        ]


def test_an_overlap_in_a_range_is_told_before_one_at_a_point():
    log = WriteLog(0)
    log.append(1, [DocumentWrite(10, b"a", b"", 1, ((11, b"k"),), ((12, b"m"),))])
    reads = ReadSet()
    reads.add_point(10, b"a")
    reads.add_point(11, b"k")
    assert log.first_overlap(reads, 0).index_id == 10
    reads.add_range(12, b"l", b"n")
    assert log.first_overlap(reads, 0) == Overlap(1, 10, b"a", "", 12, b"m")


def point(key: bytes) -> ReadSet:
    reads = ReadSet()
    reads.add_point(10, key)
    return reads


def test_old_commits_are_forgotten_and_questions_about_them_refused():
    log = WriteLog(0, retention_ns=100)
    second = 10**9
    for ts in range(second, 40 * second, second):
        log.append(ts, [DocumentWrite(10, b"%d" % ts, b"", None)])
    assert log.covers_after > 0
    with pytest.raises(OutOfRetention):
        log.first_overlap(point(b"x"), 0)
    last = 39 * second
    assert log.first_overlap(point(b"%d" % last), log.covers_after).ts == last
    assert sum(len(touches.keys) for touches in log._indexes.values()) == log._size < 39


def test_its_size_is_bounded_whatever_the_retention():
    log = WriteLog(0, max_touches=100)
    for ts in range(1, 1000):
        log.append(ts, [DocumentWrite(10, b"%d" % ts, b"", None)])
        assert log._size <= 100
    assert log.first_overlap(point(b"999"), log.covers_after).ts == 999
    assert log.first_overlap(point(b"998"), 998) is None


def test_it_keeps_no_document():
    doc = bytes(1_000_000)
    held = sys.getrefcount(doc)
    log = WriteLog(0)
    log.append(1, [DocumentWrite(10, b"a", doc, None, (), ((11, b"k"),))])
    assert sys.getrefcount(doc) == held
    assert log.first_overlap(point(b"a"), 0) == Overlap(1, 10, b"a", "", 10, b"a")


def test_the_newest_commit_is_known_also_when_all_are_forgotten():
    log = WriteLog(5, retention_ns=10)
    assert log.newest_ts == 5
    log.append(7, [DocumentWrite(10, b"a", b"", 1)])
    assert log.newest_ts == 7
    log._trim(100)
    assert log.newest_ts == 7
