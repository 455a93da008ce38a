"""All companions of a host.

Owns finding what installed packages offer, and starting and ending all of them. One invariant:
neither waits for a companion: they begin beside a host that serves, and are asked to end before it
stops, which gives them the time that it takes anyway.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import EntryPoint

from pyconvex.companions.companion import GROUP, Program, Project
from pyconvex.companions.console import to_stderr
from pyconvex.companions.keeper import Keeper
from pyconvex.companions.status import CompanionStatus


def offered() -> tuple[EntryPoint, ...]:
    """What installed packages offer; nothing of them is loaded."""
    return tuple(importlib.metadata.entry_points(group=GROUP))


class Companions:
    """`start` them once the host serves, `leave` first when it stops, and `ended` last."""

    def __init__(
        self,
        project: Project,
        admin_key: str,
        *,
        pause_s: Callable[[int], float],
        points: Iterable[EntryPoint] | None = None,
        say: Callable[[str, str], None] = to_stderr,
    ) -> None:
        def access(program: Program) -> Mapping[str, str]:
            return {program.url_variable: project.urls[0], program.key_variable: admin_key}

        self._keepers = [
            Keeper(point, project, access, pause_s=pause_s, say=partial(say, point.name))
            for point in (offered() if points is None else points)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False

    def start(self) -> None:
        """Begin to keep them. Call it inside the event loop."""
        self._tasks = [asyncio.create_task(keeper.run()) for keeper in self._keepers]

    def status(self) -> tuple[CompanionStatus, ...]:
        """How each fares."""
        return tuple(keeper.status for keeper in self._keepers)

    def leave(self) -> None:
        """Ask all of them to end, and wait for none."""
        if not self._leaving:  # a second cancellation would cut short the time that they have
            self._leaving = True
            for task in self._tasks:
                task.cancel()

    async def ended(self) -> None:
        """Return once all of them have; those that don't want to are killed in a moment."""
        self.leave()
        await asyncio.gather(*self._tasks, return_exceptions=True)
