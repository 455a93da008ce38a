"""Cron jobs as rows: when each runs next, whether it runs, and what its last runs came to.

Owns what a deploy changes about them and each step of a run, as writes of a transaction. Never runs
anything. One invariant: a job moves on to its next time in the same transaction that says how the
run for this time ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from pyconvex.database import Bounds, Namespace, Transaction
from pyconvex.functions import schedules
from pyconvex.functions.schedules import Schedule
from pyconvex.runtime.app.spec import ComponentSpec, CronSpec
from pyconvex.values import Value

#: The tables, which administrators can look at; Convex's names.
CRONS: Final = "_cron_jobs"
LOGS: Final = "_cron_job_logs"
_BY_DUE: Final = "by_due"

#: Runs that are remembered of each job, and characters of a result and of log lines (Convex's).
KEPT_RUNS: Final = 5
MAX_CHARACTERS: Final = 1_000


class Cron(NamedTuple):
    """A cron job as it stands."""

    id: str
    component: str
    name: str
    path: str
    kind: str
    arguments: bytes
    due_ms: float
    running: bool
    schedule: Schedule
    log: str

    @property
    def key(self) -> str:
        """What the job's place within the minute or hour follows from."""
        return f"{self.component}\0{self.name}"


def deploy(tx: Transaction, components: Iterable[ComponentSpec]) -> None:
    """Make the cron jobs those of the app that is put into force."""
    table = _table(tx)
    table.declare_table(CRONS, {_BY_DUE: ("running", "due")})
    table.declare_table(LOGS, {})
    known = {(cron.component, cron.name): cron for cron in everything(tx)}
    for component in components:
        for spec in component.crons:
            cron = known.pop((component.path, spec.name), None)
            if cron is None:
                _create(tx, component.path, spec)
            else:
                _change(tx, cron, spec)
    for cron in known.values():
        table.delete(cron.log)
        table.delete(cron.id)


def everything(tx: Transaction) -> list[Cron]:
    """All cron jobs of all components."""
    return [_cron(row) for row in _table(tx).scan(CRONS)]


def waiting(tx: Transaction, limit: int) -> list[Cron]:
    """Jobs that don't run, in the order in which they are due."""
    return _first(tx, False, limit)


def running(tx: Transaction, limit: int) -> list[Cron]:
    """Jobs of which the begin of a run was committed and its end was not: actions."""
    return _first(tx, True, limit)


def runs(tx: Transaction, cron: Cron) -> list[dict[str, Any]]:
    """What the last runs came to, the newest first."""
    log = _table(tx).get(cron.log)
    return [] if log is None else cast(list[dict[str, Any]], log["runs"])


def begin(tx: Transaction, id: str) -> bool:
    """Begin the run that is due; False when none is, or the job is gone."""
    cron = _find(tx, id)
    if cron is None or cron.running or cron.due_ms > tx.now_ms:
        return False
    _table(tx).patch(id, {"running": True})
    return True


def end(
    tx: Transaction, id: str, status: Mapping[str, Any], log_lines: Iterable[str], now_ms: float
) -> None:
    """End the run under way with a status, and move on; nothing for a job that is gone.

    Times that have passed meanwhile are left out, and the log says how many.
    """
    cron = _find(tx, id)
    if cron is None or not cron.running:
        return
    _record(tx, cron, status, log_lines)
    following = schedules.following(cron.schedule, cron.key, cron.due_ms, now_ms)
    if following.skipped:
        note = (
            f"Skipping {following.skipped} run(s) of job {cron.name} because multiple scheduled "
            "runs are in the past"
        )
        left_out = {"kind": "canceled", "skipped": following.skipped}
        _record(tx, cron, left_out, [note])
    _table(tx).patch(id, {"running": False, "due": following.at_ms})


def succeeded(result: bytes) -> dict[str, Any]:
    """The status of a run that returned `result`."""
    return {"kind": "success", "result": _shortened(result.decode())}


def failed(error: str) -> dict[str, Any]:
    """The status of a run that raised."""
    return {"kind": "failed", "error": _shortened(error)}


def _create(tx: Transaction, component: str, spec: CronSpec) -> None:
    key = f"{component}\0{spec.name}"
    table = _table(tx)
    table.insert(
        CRONS,
        {
            "component": component,
            "name": spec.name,
            "running": False,
            "due": schedules.first(spec.schedule, key, tx.now_ms),
            "log": table.insert(LOGS, {"component": component, "name": spec.name, "runs": []}),
            **_declared(spec),
        },
    )


def _change(tx: Transaction, cron: Cron, spec: CronSpec) -> None:
    """Take over a new declaration; the next run stays where it is, unless the schedule changed."""
    due_ms = cron.due_ms
    if spec.schedule != cron.schedule and not cron.running:
        due_ms = schedules.after_change(
            cron.schedule, spec.schedule, cron.key, cron.due_ms, tx.now_ms
        )
    _table(tx).patch(cron.id, {"due": due_ms, **_declared(spec)})


def _declared(spec: CronSpec) -> dict[str, Any]:
    return {
        "path": spec.path,
        "kind": spec.kind,
        "arguments": spec.arguments,
        "schedule": msgspec.json.encode(spec.schedule).decode(),
    }


def _record(
    tx: Transaction, cron: Cron, status: Mapping[str, Any], log_lines: Iterable[str]
) -> None:
    run = {
        "scheduledTime": cron.due_ms,
        "status": dict(status),
        "logLines": _shortened("\n".join(log_lines)),
    }
    _table(tx).patch(cron.log, {"runs": [run, *runs(tx, cron)][:KEPT_RUNS]})


def _first(tx: Transaction, running: bool, limit: int) -> list[Cron]:
    rows = _table(tx).scan(CRONS, _BY_DUE, Bounds((("running", running),)), expect=limit)
    return [_cron(row) for _, row in zip(range(limit), rows, strict=False)]


def _find(tx: Transaction, id: str) -> Cron | None:
    row = _table(tx).get(id, CRONS)
    return None if row is None else _cron(row)


def _cron(row: Mapping[str, Value]) -> Cron:
    fields = cast(dict[str, Any], row)
    return Cron(
        fields["_id"],
        fields["component"],
        fields["name"],
        fields["path"],
        fields["kind"],
        fields["arguments"].encode(),
        fields["due"],
        fields["running"],
        msgspec.json.decode(fields["schedule"], type=Schedule),
        fields["log"],
    )


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _table(tx: Transaction) -> Namespace:
    return tx.namespace("", system=True)
