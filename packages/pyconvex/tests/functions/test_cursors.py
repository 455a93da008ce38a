"""Cursors open for the query and the deployment that sealed them, and for nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.database import Bound, Bounds
from pyconvex.functions.cursors import (
    END,
    InvalidCursor,
    Position,
    fingerprint,
    seal,
    unseal,
)
from pyconvex.values import UNSET, codec

SECRET, QUERY = b"s" * 32, b"q" * 32
POSITIONS = st.binary(max_size=60).map(Position) | st.just(END)


@given(POSITIONS)
def test_a_cursor_opens_to_its_position(position: Position) -> None:
    assert unseal(SECRET, QUERY, seal(SECRET, QUERY, position)) == position
    assert seal(SECRET, QUERY, position) == seal(SECRET, QUERY, position)


def test_a_cursor_that_a_client_holds_opens_after_an_upgrade() -> None:
    held = {"-fFUDc6_gNDQvl7ONgw_ucXBhU0": Position(b"ada"), "NzRxwH1vn_FqqShhztIaeA": END}
    for cursor, position in held.items():
        assert seal(SECRET, QUERY, position) == cursor
        assert unseal(SECRET, QUERY, cursor) == position
    assert [position.is_end for position in held.values()] == [False, True]


@given(POSITIONS, POSITIONS)
def test_positions_have_cursors_of_their_own(one: Position, other: Position) -> None:
    assert (seal(SECRET, QUERY, one) == seal(SECRET, QUERY, other)) == (one == other)


@given(POSITIONS, st.data())
def test_a_changed_cursor_does_not_open(position: Position, data: st.DataObject) -> None:
    cursor = seal(SECRET, QUERY, position)
    at = data.draw(st.integers(0, len(cursor)))
    put = data.draw(st.text(max_size=2) | st.sampled_from("AZaz09-_=+/"))
    changed = cursor[:at] + put + cursor[at + data.draw(st.integers(0, 2)) :]
    if changed != cursor:
        with pytest.raises(InvalidCursor):
            unseal(SECRET, QUERY, changed)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_a_made_up_cursor_does_not_open(text: str) -> None:
    with pytest.raises(InvalidCursor):
        unseal(SECRET, QUERY, text)


@given(POSITIONS)
def test_a_foreign_cursor_does_not_open(position: Position) -> None:
    cursor = seal(SECRET, QUERY, position)
    with pytest.raises(InvalidCursor):
        unseal(SECRET, b"p" * 32, cursor)
    with pytest.raises(InvalidCursor):
        unseal(b"t" * 32, QUERY, cursor)


def test_a_cursor_shows_nothing_of_the_key() -> None:
    cursor = seal(SECRET, QUERY, Position(b"ada@example.com"))
    assert b"ada" not in base64.urlsafe_b64decode(cursor + "==")


def test_the_error_is_the_one_that_clients_know() -> None:
    error = InvalidCursor()
    assert error.data == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
    assert codec.decode(codec.encode(error.data)) == error.data
    assert "different query" in str(error)


def test_a_fingerprint_tells_queries_apart() -> None:
    lower, upper = Bound("n", 1, True), Bound("n", 1, False)
    ranges = [
        Bounds(),
        Bounds((("n", 1),)),
        Bounds((("n", UNSET),)),
        Bounds((("n", None),)),
        Bounds((("n", "1"),)),
        Bounds((("m", 1),)),
        Bounds((("m", 1), ("n", 2))),
        Bounds(lower=lower),
        Bounds(lower=lower._replace(inclusive=False)),
        Bounds(upper=lower),
        Bounds(lower=lower, upper=upper),
        Bounds((("m", 1),), lower=lower),
    ]
    heads = [("t", "i", ("n",)), ("t", "i", ("n", "m")), ("t", "n", ()), ("u", "i", ("n",))]
    prints = [
        fingerprint(*head, bounds, descending=descending)
        for head in heads
        for bounds in ranges
        for descending in (False, True)
    ]
    assert len(set(prints)) == len(prints)


def test_the_order_in_which_fields_are_fixed_does_not_matter() -> None:
    one, other = Bounds((("m", 1), ("n", 2))), Bounds((("n", 2), ("m", 1)))
    assert fingerprint("t", "i", (), one, descending=False) == fingerprint(
        "t", "i", (), other, descending=False
    )
