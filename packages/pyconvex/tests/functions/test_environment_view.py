"""The mapping that handlers read variables from."""

from __future__ import annotations

import pytest

from pyconvex.functions import EnvironmentView

VALUES = {"A": "1", "B": "", "HIDDEN": "x"}


def test_each_read_is_one_question() -> None:
    asked: list[str] = []

    def read(name: str) -> str | None:
        asked.append(name)
        return VALUES.get(name)

    view = EnvironmentView(["A", "B", "C"], read)
    assert (view["A"], view.get("B"), view.get("C"), view.get("C", "d")) == ("1", "", None, "d")
    assert asked == ["A", "B", "C", "C"]
    assert "A" in view
    assert "C" not in view


def test_a_missing_variable_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="C"):
        EnvironmentView(["C"], VALUES.get)["C"]


def test_iteration_gives_declared_variables_that_are_set() -> None:
    view = EnvironmentView(["A", "B", "C"], VALUES.get)
    assert (dict(view), len(view)) == ({"A": "1", "B": ""}, 2)


def test_printing_it_shows_no_value() -> None:
    assert repr(EnvironmentView(["A", "B"], VALUES.get)) == "<environment: A, B>"
    assert repr(EnvironmentView([], VALUES.get)) == "<environment: empty>"
