from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.database.reads import TOP, ReadSet

keys = st.binary(max_size=2)
points = st.tuples(st.just("point"), keys)
ranges = st.tuples(st.just("range"), keys, st.none() | keys)
UNIVERSE = [b"", *(bytes([a]) for a in range(0, 256, 3)), b"\xff", b"\0", b"\0\0", b"\xff\xff"]


def build(parts) -> ReadSet:
    reads = ReadSet()
    for part in parts:
        if part[0] == "point":
            reads.add_point(5, part[1])
        else:
            reads.add_range(5, part[1], part[2])
    return reads


def naive(parts, key: bytes) -> bool:
    return any(
        part[1] == key
        if part[0] == "point"
        else part[1] <= key and (part[2] is None or key < part[2])
        for part in parts
    )


@given(st.lists(points | ranges, max_size=12), st.lists(keys, max_size=8))
def test_membership_is_that_of_the_parts(parts, probes):
    reads = build(parts)
    decoded = ReadSet.decode(reads.encode())
    for key in {*probes, *UNIVERSE, *(part[1] for part in parts)}:
        assert reads.overlaps(5, key) == naive(parts, key)
        assert decoded.overlaps(5, key) == naive(parts, key)
        assert not reads.overlaps(6, key)


@given(st.lists(points | ranges, max_size=12))
def test_ranges_stay_sorted_disjoint_and_apart(parts):
    index = build(parts).indexes.get(5)
    found = list(index.ranges()) if index else []
    assert all(start < end <= TOP for start, end in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))


@given(st.lists(points | ranges, max_size=8), st.lists(points | ranges, max_size=8), st.randoms())
def test_the_order_of_adding_does_not_matter(parts, more, random):
    together = build([*parts, *more])
    merged = build(parts)
    merged.update(build(more))
    shuffled = [*parts, *more]
    random.shuffle(shuffled)
    assert together.encode() == merged.encode() == build(shuffled).encode()


def test_intervals_are_counted_from_an_index_on():
    reads = ReadSet()
    reads.add_point(1, b"a")
    reads.add_range(9, b"a", b"b")
    reads.add_range(9, b"b", b"c")
    reads.add_range(9, b"x", None)
    reads.add_range(9, b"y", b"y")
    assert reads.interval_count() == 3
    assert reads.interval_count(9) == 2
    assert ReadSet.decode(b"").indexes == {}


@given(st.lists(points | ranges, min_size=1, max_size=12), st.lists(keys, max_size=8))
def test_a_read_set_reaches_every_stretch_in_which_it_reads(parts, probes):
    reads = ReadSet.decode(build(parts).encode())
    for key in {*probes, *UNIVERSE, *(part[1] for part in parts)}:
        if reads.overlaps(5, key):
            stretch = reads.stretch(5, key)
            assert reads.reaches(stretch)
            assert key.startswith(stretch.prefix)
            assert not build([]).reaches(stretch)


def test_a_stretch_is_the_same_wherever_its_first_document_stands():
    def stretch(*ends: tuple[bytes, bytes | None]):
        reads = ReadSet()
        for start, end in ends:
            reads.add_range(5, start, end)
        return reads.stretch(5, max(start for start, _ in ends))

    upwards = {stretch((b"room 1", b"room 1%d\0" % n)) for n in range(3)}
    downwards = {stretch((b"room 1%d" % n, b"room 2")) for n in range(3)}
    assert len(upwards) == len(downwards) == 1
    assert upwards != {stretch((b"room 3", b"room 33"))}
    reads = ReadSet()
    reads.add_range(5, b"room 3", b"room 4")
    assert not any(reads.reaches(each) for each in upwards)


def test_a_stretch_is_of_the_range_in_which_the_key_lies():
    reads = ReadSet()
    for name in (b"a", b"b", b"c"):
        reads.add_range(5, name + b"1", name + b"3")
    reads.add_point(5, b"b5")
    found = [reads.stretch(5, key).prefix for key in (b"a2", b"b2", b"c2", b"b5")]
    assert found == [b"a", b"b", b"c", b"b5"]
