"""How far lanes have come: cursors grow, and survive whatever becomes of their file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runlog.cursors import FILE, Cursors
from pyconvex.storage import Position

positions = st.builds(Position, st.integers(0, 5), st.integers(-1, 1 << 60))
steps = st.lists(
    st.tuples(
        st.sampled_from(["begin", "advance", "lose", "restart"]),
        st.sampled_from(["a", "b"]),
        positions,
        st.integers(0, 3),
    ),
    max_size=30,
)


@given(steps)
def test_cursors_never_go_back_also_over_restarts(
    steps: list[tuple[str, str, Position, int]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "runlog"
        cursors = Cursors(folder)
        known: dict[str, tuple[Position, int]] = {}
        for step, lane, position, entries in steps:
            match step:
                case "begin":
                    cursors.begin(lane, position)
                    known.setdefault(lane, (position, 0))
                case "advance":
                    cursors.advance(lane, position)
                    before, dropped = known.get(lane, (position, 0))
                    known[lane] = (max(before, position), dropped)
                case "lose" if lane in known:
                    cursors.lose(lane, position, entries)
                    before, dropped = known[lane]
                    known[lane] = (max(before, position), dropped + entries)
                case _:
                    cursors.save()
                    cursors = Cursors(folder)
            for each in ("a", "b"):
                cursor = cursors.get(each)
                kept = None if cursor is None else (cursor.position, cursor.dropped)
                assert kept == known.get(each)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lane": 1}', "\x00\x01"])
def test_a_file_that_is_none_means_that_lanes_are_new(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    cursors = Cursors(tmp_path)
    assert cursors.get("lane") is None
    cursors.begin("lane", Position(1, 2))
    again = Cursors(tmp_path).get("lane")
    assert again is not None
    assert again.position == Position(1, 2)


def test_what_is_acknowledged_is_saved_in_one_go(tmp_path: Path) -> None:
    cursors = Cursors(tmp_path)
    cursors.begin("lane", Position(1, 2))
    for n in range(10):
        cursors.advance("lane", Position(2, n))
    assert _position(Cursors(tmp_path)) == Position(1, 2)
    cursors.save()
    assert _position(Cursors(tmp_path)) == Position(2, 9)
    (tmp_path / FILE).unlink()
    cursors.save()
    assert not (tmp_path / FILE).exists(), "there was nothing to save"


def _position(cursors: Cursors) -> Position:
    cursor = cursors.get("lane")
    assert cursor is not None
    return cursor.position


def test_a_folder_that_can_not_be_written_keeps_cursors_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cursors = Cursors(tmp_path / "file" / "runlog")
    cursors.advance("lane", Position(1, 2))
    kept = cursors.get("lane")
    assert kept is not None
    assert kept.position == Position(1, 2)
