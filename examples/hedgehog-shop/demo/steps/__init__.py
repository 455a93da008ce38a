"""The scripted visit: one module a step, in the order in which they happen.

A step does one thing as the visitor, says with `visit.expects` what that should leave on the
person's timeline, and returns the sentence that the demo prints. A step that goes wrong raises
`DemoError`. To add one, write a module with such a `run` and name it in `STEPS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from demo.steps import (
    ask_support,
    be_declined,
    be_recorded,
    browse,
    buy,
    edit_the_flag,
    join_tables,
    sign_up,
    upgrade,
)
from demo.visit import Visit


class Step(NamedTuple):
    """A step, and what it can't do without."""

    run: Callable[[Visit], str]
    needs_local: bool = False
    needs_page: bool = False


STEPS: tuple[Step, ...] = (
    Step(browse.run),
    Step(sign_up.run),
    Step(upgrade.run),
    Step(buy.run),
    Step(ask_support.run),
    Step(be_declined.run),
    Step(edit_the_flag.run, needs_local=True),
    Step(join_tables.run, needs_local=True),
    Step(be_recorded.run, needs_local=True, needs_page=True),
)
