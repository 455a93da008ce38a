"""`os.environ` during a run, in an action, and for everybody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from guarded import Call

from pyconvex.runtime import purity

Pure = Callable[..., Any]


def test_a_run_sees_its_components_variables_and_nothing_else(pure: Pure) -> None:
    own = {"HOST": "https://example.com"}
    assert pure(lambda: dict(os.environ), environment=own).value == own
    assert pure(lambda: os.environ["HOST"], environment=own).value == own["HOST"]
    assert pure(lambda: os.getenv("PATH"), environment=own).value is None
    assert pure(lambda: "PATH" in os.environ, environment=own).value is False
    assert pure(lambda: len(os.environ), environment=own).value == 1
    assert pure(lambda: repr(os.environ), environment=own).value == f"environ({own!r})"


def test_an_action_sees_them_above_those_of_its_process() -> None:
    def act() -> tuple[str | None, str | None, bool]:
        purity.enter_call(Call({"HOST": "x", "HOME": "/own"}))
        return os.environ.get("HOST"), os.environ.get("HOME"), {"PATH", "HOST"} <= {*os.environ}

    assert copy_context().run(act) == ("x", "/own", True)


def test_a_call_ends_where_it_began_or_nowhere() -> None:
    token = copy_context().run(lambda: purity.enter_call(Call({"HOST": "x"})))
    purity.leave_call(token)
    assert os.getenv("HOST") is None


def test_others_see_and_set_the_real_ones() -> None:
    os.environ["PURITY"] = "x"
    assert os.getenv("PURITY") == "x"
    del os.environ["PURITY"]
    assert "PURITY" not in os.environ
    assert "PATH" in {*os.environ}
