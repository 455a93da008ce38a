import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.database import Bound, Bounds, DatabaseError
from pyconvex.database.bounds import interval_of, value_at
from pyconvex.values import UNSET, Int64, order

FIELDS = ("a", "b", "_creationTime", "_id")
values = st.sampled_from(
    [UNSET, None, Int64(-3), Int64(2), -1.5, 0.0, 7.0, False, "", "x", b"x", []]
)
RANK = {
    name: place
    for place, name in enumerate(
        ["Unset", "NoneType", "Int64", "float", "bool", "str", "bytes", "list"]
    )
}


def rank(value):
    """Convex's order, said again by hand for the few values above."""
    kind = type(value).__name__
    return RANK[kind], value if kind not in ("Unset", "NoneType", "list") else 0


@given(
    st.tuples(values, values),
    st.integers(0, 2),
    st.none() | st.tuples(values, st.booleans()),
    st.none() | st.tuples(values, st.booleans()),
    st.tuples(values, values),
)
def test_an_interval_holds_exactly_what_satisfies_the_comparisons(eq, depth, low, high, row):
    if depth == 2:
        low = high = None
    ranged = "ab"[depth] if depth < 2 else ""
    bounds = Bounds(
        tuple(zip("ab", eq, strict=True))[:depth],
        Bound(ranged, *low) if low else None,
        Bound(ranged, *high) if high else None,
    )
    start, end = interval_of("t.i", FIELDS, bounds)
    key = order.encode_key([*row, 1.0, "id"])
    wanted = all(rank(row[n]) == rank(eq[n]) for n in range(depth))
    if low:
        wanted &= rank(row[depth]) >= rank(low[0]) if low[1] else rank(row[depth]) > rank(low[0])
    if high:
        wanted &= rank(row[depth]) <= rank(high[0]) if high[1] else rank(row[depth]) < rank(high[0])
    assert (start <= key and (end is None or key < end)) == wanted


def test_equalities_may_come_in_any_order_and_reach_the_ties():
    there = Bounds((("b", 2), ("a", 1)))
    assert interval_of("t.i", FIELDS, there) == interval_of(
        "t.i", FIELDS, Bounds((("a", 1), ("b", 2)))
    )
    interval_of("t.i", FIELDS, Bounds((("a", 1), ("b", 2), ("_creationTime", 3), ("_id", "x"))))


@pytest.mark.parametrize(
    ("bounds", "code", "text"),
    [
        (
            Bounds((("b", 1),)),
            "InvalidIndexRange",
            "Tried to query index t.i but the query didn't use the index fields in order.\n"
            'Index fields: ["a", "b", "_creationTime"]\nQuery fields: ["b"]\n'
            'First incorrect field: "b"\n'
            "For more information see https://docs.convex.dev/using/indexes.",
        ),
        (
            Bounds((("c", 1),)),
            "FieldNotInIndex",
            'The index range included a comparison with "c", but t.i with fields '
            '["a", "b", "_creationTime"] doesn\'t index this field. '
            "For more information see https://docs.convex.dev/using/indexes.",
        ),
        (
            Bounds((), Bound("a", 1, True), Bound("b", 2, True)),
            "BoundsOnMultipleFields",
            "Upper and lower bounds in `range` can only be applied to a single index field. This "
            'query against index t.i attempted to set a range bound on both "a" and "b". Consider '
            "using `filter` instead. See https://docs.convex.dev/using/indexes for more info.",
        ),
        (Bounds((("a", 1), ("a", 1))), "DuplicateEqualityBound", None),
        (Bounds((("a", 1),), Bound("a", 2, True)), "InvalidIndexRange", None),
    ],
)
def test_comparisons_that_do_not_fit(bounds, code, text):
    with pytest.raises(DatabaseError) as caught:
        interval_of("t.i", FIELDS, bounds)
    assert caught.value.code == code
    assert text is None or str(caught.value) == text


def test_a_path_that_leads_nowhere_is_unset():
    assert value_at({"a": {"b": 1}}, ("a", "b")) == 1
    assert value_at({"a": {"b": 1}}, ("a", "c")) is UNSET
    assert value_at({"a": 3}, ("a", "b")) is UNSET
