"""What the host and the deployer ask of whatever runs an app's code.

Owns the protocol alone: `IsolatePool` answers it with processes, `InProcessPool` with the server's
own event loop. One invariant: every run that was submitted ends exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.isolates.runs import OnCall, Run, Work
from pyconvex.runtime.processes import messages


class Pool(Protocol):
    """Runs the functions of one deploy: `load` an app, `open`, `submit` runs, `stop` it."""

    async def load(self, sources: dict[str, str], folder: Path, data_path: Path) -> AppSpec:
        """Import the app; raises `AppLoadError` when that fails, and keeps nothing then."""

    def open(self) -> None:
        """Get ready to run; call once, when the app is to be put into force."""

    def submit(
        self,
        start: messages.Start,
        *,
        work: Work = Work.CALL,
        client: str = "",
        on_call: OnCall | None = None,
    ) -> Run:
        """Queue a run; those of one class of work and one client begin in order of submission."""

    def adopt(self, run: Run) -> None:
        """Queue a run that was submitted to the pool before."""

    def hand_over(self) -> Sequence[Run]:
        """Take back the runs that have not begun, to be adopted by the pool that follows."""

    async def drain(self) -> None:
        """Wait until no run is under way or waiting."""

    async def stop(self) -> None:
        """End everything; runs still under way fail."""

    @property
    def pids(self) -> list[int]:
        """The processes that run the app's code, but for this one."""
