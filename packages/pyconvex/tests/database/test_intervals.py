from hypothesis import given
from hypothesis import strategies as st

from pyconvex.database.intervals import IntervalMap

keys = st.integers(0, 40).map(lambda n: bytes([n]))
actions = st.lists(st.tuples(st.booleans(), keys, keys | st.none(), st.integers(0, 5)), max_size=60)


@given(actions)
def test_holders_are_found_as_by_looking_at_all(steps):
    intervals = IntervalMap[int]()
    known: set[tuple[bytes, bytes | None, int]] = set()
    for adds, start, end, holder in steps:
        if end is not None and end <= start:
            end = None
        if end is None:
            (intervals.add_point if adds else intervals.remove_point)(start, holder)
        else:
            (intervals.add_range if adds else intervals.remove_range)(start, end, holder)
        (known.add if adds else known.discard)((start, end, holder))
    for number in range(42):
        key = bytes([number])
        found = {holder for holders in intervals.holding(key) for holder in holders}
        assert found == {
            holder
            for start, end, holder in known
            if (key == start if end is None else start <= key < end)
        }
    assert bool(intervals) == bool(known)
    check(intervals._root)


def check(node, low=None, high=None) -> None:
    """The tree is ordered, heap-shaped, and every reach is exact."""
    if node is None:
        return
    place = (node.start, node.end)
    assert low is None or low < place
    assert high is None or place < high
    children = [child for child in (node.left, node.right) if child is not None]
    assert all(child.priority <= node.priority for child in children)
    assert node.reach == max([node.end, *(child.reach for child in children)])
    check(node.left, low, place)
    check(node.right, place, high)


def test_a_search_looks_at_few_of_many_ranges():
    intervals = IntervalMap[int]()
    for number in range(10_000):
        start = b"user%05d" % number
        intervals.add_range(start, start + b"\xff", number)
    depth = 0
    layer = [intervals._root]
    while layer:
        depth += 1
        layer = [child for node in layer for child in (node.left, node.right) if child]
    assert depth < 60
    assert [h for holders in intervals.holding(b"user07777x") for h in holders] == [7777]
