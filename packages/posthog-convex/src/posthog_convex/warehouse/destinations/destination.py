"""What every destination can do, and the steps that it tells of.

Owns the interface alone. Invariant: a plan is done whole or not at all, so what `load` gives is
what the rows are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from posthog_convex.warehouse.plan.actions import Plan
from posthog_convex.warehouse.plan.progress import Progress

#: Hears of each step that is done, so that tests can end a process there.
Notice = Callable[[str], None]


class Destination(Protocol):
    """Where plans go. One process at a time."""

    def load(self) -> Progress | None:
        """What the last plan saved; None for a new destination."""

    def apply(self, plan: Plan) -> None:
        """Do all of a plan and save its progress, or nothing of it."""

    def rest(self) -> None:
        """Nothing comes for a while: publish what waits, let others in."""

    def counts(self) -> dict[str, int]:
        """How many rows readers find in each table."""

    def close(self) -> None:
        """Let go of everything."""
