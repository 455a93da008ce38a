"""What the lane process may ask of this server.

Owns the bridge between the lane supervisor and store and host. Never reads a queue. One invariant:
an acknowledgement is durable before it is confirmed.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import Final, NamedTuple

import msgspec

from pyconvex.delivery.messages import LaneComponent, LaneStatus
from pyconvex.identity import Admin
from pyconvex.runlog.cursors import cursor_key
from pyconvex.runlog.log import RunLog
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import Failure, FunctionCall, FunctionKind
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.host import Host
from pyconvex.runtime.settings.environment import DeploymentEnvironment
from pyconvex.storage import Position, Store

_LOG = logging.getLogger("pyconvex.lanes")
_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


#: Lanes that read the run log of every deployment, by import path. One runs where the app has set
#: what it needs, unless a component of the app declares the same lane.
GROUP: Final = "pyconvex.host_lanes"


class HostLane(NamedTuple):
    """A lane that belongs to no component."""

    path: str
    needs: tuple[str, ...]


def host_lanes() -> tuple[HostLane, ...]:
    """The lanes that installed packages offer."""
    found: list[HostLane] = []
    for point in entry_points(group=GROUP):
        try:
            found.append(HostLane(point.value, point.load().needs))
        except Exception as error:
            _LOG.error("lane %s of the host can't run (%r)", point.value, error)
    return tuple(found)


class LaneCallError(Exception):
    """A component function that a lane called failed."""


class LaneBridge:
    """Serves the lane process (`pyconvex.delivery.supervisor.LaneHost`)."""

    def __init__(
        self,
        host: Host,
        store: Store,
        run_log: RunLog,
        new_request_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._host = host
        self._store = store
        self._run_log = run_log
        self._new_request_id = new_request_id

    async def ack(self, queue: int, ts: int, seq: int) -> None:
        """Delete the queue's rows up to and including this position."""
        place = Position(ts, seq)
        await self._host.between_commits(lambda: self._store.acknowledge(queue, place))

    async def set_aside(self, queue: int, ts: int, seq: int, reason: str) -> None:
        """Take one row out and keep it with its reason."""
        place = Position(ts, seq)
        await self._host.between_commits(lambda: self._store.set_aside(queue, place, reason))

    def reads(self, component: str, lane: str, kinds: tuple[str, ...]) -> None:
        """A lane reads these kinds of the run log."""
        self._run_log.reads(cursor_key(component, lane), kinds)

    def run_log_ack(self, component: str, lane: str, ts: int, seq: int) -> None:
        """A lane has delivered the run log up to and including this position."""
        self._run_log.acknowledge(cursor_key(component, lane), Position(ts, seq))

    def rejected_entries(self, component: str, lane: str, entries: int) -> None:
        """Count what a receiver dropped of what a lane sent."""
        self._run_log.rejected(cursor_key(component, lane), entries)

    def set_aside_entry(self, component: str, lane: str, body: bytes, reason: str) -> None:
        """Keep an entry of the run log with its reason."""
        self._run_log.set_aside(cursor_key(component, lane), body, reason)

    async def run(self, kind: str, component: str, path: str, args: bytes) -> bytes:
        """Run a function of the lane's own component."""
        call = FunctionCall(
            kind=_KINDS[kind],
            path=path,
            args=args,
            identity=Admin(),
            request_id=self._new_request_id(),
            origin="scheduler",
            component=component,
            public_only=False,
        )
        outcome = await (
            self._host.run_query(call) if kind == "query" else self._host.run_mutation(call)
        )
        if isinstance(outcome, Failure):
            raise LaneCallError(outcome.message)
        return outcome.value

    def log(self, component: str, lane: str, level: str, text: str) -> None:
        """A line for whoever runs the server."""
        _LOG.log(_LEVELS.get(level, logging.INFO), "%s/%s: %s", component, lane, text)


_KINDS: dict[str, FunctionKind] = {"query": "query", "mutation": "mutation"}


def lane_components(
    spec: AppSpec,
    environment: DeploymentEnvironment,
    system: SystemTransactions,
    host_lanes: Sequence[HostLane] = (),
) -> list[LaneComponent]:
    """The components that have lanes, with their queues' ids and their variables as they are
    now. Lanes of the host are those of the app itself.
    """
    declared = {lane for component in spec.components for lane in component.lanes}
    app = environment.current()
    wanted = [
        lane.path
        for lane in host_lanes
        if lane.path not in declared and all(app.get(name, "").strip() for name in lane.needs)
    ]
    found = _declared(spec, environment, system)
    if not wanted:
        return found
    own = next((c for c in found if c.path == ""), LaneComponent("", (), {}, {}))
    rest = [component for component in found if component.path]
    return [LaneComponent("", (*own.lanes, *wanted), own.queues, app), *rest]


def _declared(
    spec: AppSpec, environment: DeploymentEnvironment, system: SystemTransactions
) -> list[LaneComponent]:
    return [
        LaneComponent(
            path=component.path,
            lanes=tuple(component.lanes),
            queues=system.read(
                lambda tx, c=component: {  # type: ignore[misc]  # the default binds the loop variable
                    name: tx.namespace(c.path).queue_number(name) for name in c.queues
                }
            ),
            env=environment.visible_to(component.env),
        )
        for component in spec.components
        if component.lanes
    ]


def lane_keys(components: list[LaneComponent]) -> list[str]:
    """What all lanes' cursors in the run log are filed under."""
    return [
        cursor_key(component.path, lane) for component in components for lane in component.lanes
    ]


def with_losses(statuses: Iterable[LaneStatus], run_log: RunLog) -> Iterator[LaneStatus]:
    """How lanes fare, with what each lost of the run log."""
    for status in statuses:
        dropped = run_log.lost_by(status.component, status.lane)
        yield msgspec.structs.replace(status, dropped=dropped) if dropped else status
