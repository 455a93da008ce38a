"""Running a lane over the run log, one that a component declares or one that is set up meanwhile.

Owns reading its entries from the lane's cursor on, and telling the server how far it came. Never
moves the cursor itself. One invariant: new settings change what is sent, never the place.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pyconvex.delivery.drain_runner import DrainRunner
from pyconvex.delivery.lane import LooseRunLogLane, RunLogLane
from pyconvex.delivery.messages import (
    LaneStatus,
    Log,
    LooseLane,
    Reads,
    RejectedEntries,
    RunLogAck,
    SetAsideEntry,
)
from pyconvex.delivery.run_entries import AdmittedEntries
from pyconvex.delivery.runner import Surroundings
from pyconvex.delivery.transport import Request, Response
from pyconvex.delivery.verdict import Accepted, Verdict
from pyconvex.runlog.cursors import Cursors, cursor_key
from pyconvex.runlog.entries import EntryRow, pack
from pyconvex.runlog.window import Window
from pyconvex.storage import START, Position


class RunLogRunner(DrainRunner[EntryRow]):
    """Carries entries of the run log through a lane class, from its cursor on."""

    meanwhile = ", entries stay in the run log"

    def __init__(
        self, component: str, path: str, lane: RunLogLane, run_log: Window, world: Surroundings
    ) -> None:
        lane.component = component
        kept = Cursors(run_log.folder).get(cursor_key(component, path))
        cursor = START if kept is None else kept.position
        super().__init__(component, lane, world, cursor)
        lane.log = self.log
        self._path = path
        self._encode = lane.encode
        self._entries = AdmittedEntries(run_log, lane, cursor)
        world.post(Reads(component, path, lane.reads))

    def _read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[EntryRow], bool]:
        return self._entries.read(after, max_rows, max_bytes)

    def _freeze(self, rows: Sequence[EntryRow]) -> Request | None:
        return self._encode([row.entry for row in rows], self.env)

    def _acknowledge(self, through: Position) -> None:
        self._world.post(RunLogAck(self.component, self._path, through.ts, through.seq))

    def _set_aside(self, row: EntryRow, reason: str) -> None:
        self._world.post(SetAsideEntry(self.component, self._path, pack(row.entry), reason))
        self._acknowledge(row.position)

    def _rejected(self, rows: int) -> None:
        self._world.post(RejectedEntries(self.component, self._path, rows))

    def _ts_of(self, row: EntryRow) -> int:
        return int(row.entry.run.ts_ms * 1_000_000)


class LooseRunner(RunLogRunner):
    """Carries entries through a lane that is set up, and changed, while it runs."""

    def __init__(
        self, loose: LooseLane, lane: LooseRunLogLane, run_log: Window, world: Surroundings
    ) -> None:
        lane.configure(loose.settings)
        super().__init__("", loose.key, lane, run_log, world)
        self.lane = loose.key.rpartition(":")[2]
        self._loose = lane
        self._settings = loose.settings
        self._title = loose.title
        self._sent_bytes = 0
        #: Whether what is frozen counts.
        self._counts = True

    def reconfigure(self, settings: bytes) -> None:
        """Go on with these settings, from the same place."""
        if settings == self._settings:
            return
        self._settings = settings
        self._loose.configure(settings)
        self._entries.read_kinds()
        self._world.post(Reads(self.component, self._path, self._loose.reads))
        self._drain.settings_changed(complete=True)
        self._stirred.set()

    def status(self) -> LaneStatus:
        return msgspec.structs.replace(
            super().status(), sent_bytes=self._sent_bytes, title=self._title
        )

    def log(self, level: str, text: str) -> None:
        self._world.post(Log("log streams", self._title or self.lane, level, text))

    async def _transmit(self, request: Request) -> Response:
        return await self._loose.send(request, self._world.transport)

    async def _send(self, request: Request) -> Verdict:
        verdict = await super()._send(request)
        if isinstance(verdict, Accepted) and self._counts:
            self._sent_bytes += len(request.body)
        return verdict

    def _freeze(self, rows: Sequence[EntryRow]) -> Request | None:
        entries = [row.entry for row in rows]
        self._counts = any(entry.kind not in self._loose.uncounted for entry in entries)
        return self._encode(entries, self.env)
