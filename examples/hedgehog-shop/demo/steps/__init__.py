"""The scripted visit: one module a step, in the order in which they happen.

A step does one thing as the visitor, says with `visit.expects` what that should leave on the
person's timeline, and returns the sentence that the demo prints. A step that goes wrong raises
`DemoError`. To add one, write a module with such a `run` and name it in `STEPS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from demo.steps import be_declined, buy, edit_the_flag, see_the_price, sign_up, upgrade
from demo.visit import Visit

Step: TypeAlias = Callable[[Visit], str]

STEPS: tuple[Step, ...] = (
    sign_up.run,
    see_the_price.run,
    upgrade.run,
    edit_the_flag.run,
    buy.run,
    be_declined.run,
)
