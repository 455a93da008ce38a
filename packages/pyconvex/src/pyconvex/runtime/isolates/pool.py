"""What the host and the deployer ask of whatever runs an app's code.

Owns the protocol and submitting by it: `IsolatePool` answers it with processes, `InProcessPool`
with the event loop of the server. One invariant: every run that was submitted ends exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.isolates.runs import OnCall, Run, Work, new_run
from pyconvex.runtime.processes import messages


class Pool(Protocol):
    """Runs the functions of one deploy: `load` an app, `open`, `adopt` runs, `stop` it."""

    async def load(self, sources: dict[str, str], folder: Path, data_path: Path) -> AppSpec:
        """Import the app; raises `AppLoadError` when that fails, and keeps nothing then."""

    def open(self) -> None:
        """Get ready to run; call once, when the app is to be put into force."""

    def adopt(self, run: Run) -> None:
        """Queue a run, also one that the pool before has handed over: it begins when its turn and a
        place have come. Those of one class of work and one client begin in order.
        """

    def hand_over(self) -> Sequence[Run]:
        """Take back the runs that have not begun, to be adopted by the pool that follows."""

    async def drain(self) -> None:
        """Wait until no run is under way or waiting."""

    async def stop(self) -> None:
        """End everything; runs still under way fail."""

    @property
    def pids(self) -> list[int]:
        """The processes that run the app's code, but for this one."""


def submit(
    pool: Pool,
    start: messages.Start,
    *,
    work: Work = Work.CALL,
    client: str = "",
    on_call: OnCall | None = None,
) -> Run:
    """Queue a new run."""
    run = new_run(start, on_call=on_call, work=work, client=client)
    pool.adopt(run)
    return run
