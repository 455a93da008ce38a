"""Scheduled functions as rows: what the tables behind `_scheduled_functions` hold.

Owns every step of a job's life, each as writes of a transaction: scheduled, begun, finished, put
off, canceled, forgotten. Never runs anything and never looks at a clock. One invariant: a job's
place in the queue and the state in its document change together.

A job's document stands in the component that scheduled it, with its arguments, or beside them when
they are large. The queue is one table for all components, in the order of what is due, and small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec

from pyconvex.database.bounds import Bound, Bounds
from pyconvex.database.errors import DatabaseError
from pyconvex.database.namespace import Namespace
from pyconvex.database.transaction import Transaction
from pyconvex.values import Value, codec, ids

#: The table that functions can read; Convex's name.
FUNCTIONS: Final = "_scheduled_functions"
_ARGUMENTS: Final = "_scheduled_arguments"
_QUEUE: Final = "_scheduled_queue"
_BY_DUE: Final = "by_due"

#: How long a finished job can be read, in milliseconds (Convex: seven days).
KEPT_MS: Final = 7 * 24 * 3600 * 1000.0
#: Bytes of arguments that stand in a job's own document, which is written anew at each step.
_INLINE_BYTES: Final = 4_096
#: Bytes of larger arguments in one row; a document holds a little more.
_PART_BYTES: Final = 1_000_000
#: Characters of an error that a job keeps.
_ERROR_LENGTH: Final = 16_384

#: What a job that was lost with its process, or with the server, is said to have met. Convex's.
TRANSIENT_ERROR: Final = "Transient error while executing action"


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often an action may run, and how long to wait in between, in milliseconds."""

    max_attempts: int
    initial_backoff_ms: float
    max_backoff_ms: float


class NewJob(NamedTuple):
    """A function to run later: where it is, what it gets, and when."""

    component: str
    path: str
    kind: str
    arguments: bytes
    due_ms: float
    retry: RetryPolicy | None = None
    #: Where in which trace it was scheduled, in a form of its reader's.
    trace: str = ""


class Job(NamedTuple):
    """A job in the queue. `home` is the component whose table has it, `component` where it runs."""

    home: str
    id: str
    component: str
    path: str
    kind: str
    due_ms: float
    #: Runs of an action that were begun.
    attempts: int
    #: Runs that were lost with their process, of a mutation.
    losses: int
    retry: RetryPolicy | None
    trace: str = ""


def declare(tx: Transaction, components: Iterable[str]) -> None:
    """Make the tables; part of every deploy."""
    tx.namespace("", system=True).declare_table(_QUEUE, {_BY_DUE: ("phase", "due")})
    for component in components:
        home = tx.namespace(component, system=True)
        home.declare_table(FUNCTIONS, {})
        home.declare_table(_ARGUMENTS, {})


def schedule(tx: Transaction, home: str, job: NewJob, *, canceled: bool = False) -> str:
    """Add a job to the component `home`; `canceled` for one that shall never run."""
    tables = tx.namespace(home, system=True)
    module, _, name = job.path.rpartition(":")
    id = tables.insert(
        FUNCTIONS,
        {
            "name": f"{module}.py:{name}",
            "scheduledTime": job.due_ms,
            "state": {"kind": "pending"},
            "arguments": _store(tables, job.arguments),
        },
    )
    _queue(tx).insert(
        _QUEUE,
        {
            "phase": "pending",
            "due": job.due_ms,
            "home": home,
            "job": id,
            "component": job.component,
            "path": job.path,
            "kind": job.kind,
            "attempts": 0,
            "losses": 0,
            "retry": None if job.retry is None else msgspec.to_builtins(job.retry),
            "trace": job.trace,
        },
        ids.decode_id(id).internal,
    )
    if canceled:
        _end(tx, home, id, {"kind": "canceled"}, tx.now_ms)
    return id


def pending(tx: Transaction, limit: int) -> list[Job]:
    """The first jobs of the queue that have not begun, in the order in which they are due."""
    return _jobs(tx, "pending", limit)


def running(tx: Transaction, limit: int) -> list[Job]:
    """Jobs whose begin was committed and whose end was not: actions."""
    return _jobs(tx, "running", limit)


def state(tx: Transaction, home: str, id: str) -> str | None:
    """What has become of a job; None when it is forgotten."""
    document = tx.namespace(home, system=True).get(id, FUNCTIONS)
    return None if document is None else _kind(document)


def arguments(tx: Transaction, home: str, id: str) -> bytes:
    """A job's arguments, encoded."""
    tables = tx.namespace(home, system=True)
    document = tables.get(id, FUNCTIONS)
    return b"{}" if document is None else _arguments(tables, document)


def begin(tx: Transaction, home: str, id: str) -> bool:
    """Begin a pending job; False when it must not run, because it has run or was canceled."""
    document = tx.namespace(home, system=True).get(id, FUNCTIONS)
    if document is None or _kind(document) != "pending":
        return False
    _move(tx, home, id, {"state": {"kind": "inProgress"}})
    place = _place(tx, id)
    attempts = cast(float, place["attempts"])
    _queue(tx).patch(str(place["_id"]), {"phase": "running", "attempts": attempts + 1})
    return True


def succeed(tx: Transaction, home: str, id: str, now_ms: float) -> None:
    """End a job that is in progress; one that was canceled meanwhile stays so."""
    _finish(tx, home, id, {"kind": "success"}, now_ms)


def fail(tx: Transaction, home: str, id: str, error: str, now_ms: float) -> bool:
    """End a job with an error; False when it was canceled or has ended meanwhile."""
    return _finish(tx, home, id, {"kind": "failed", "error": error[:_ERROR_LENGTH]}, now_ms)


def put_off(tx: Transaction, home: str, id: str, due_ms: float, *, lost: bool = False) -> bool:
    """Let a job that could not end begin again later; `lost` counts it as lost."""
    document = tx.namespace(home, system=True).get(id, FUNCTIONS)
    if document is None or _kind(document) not in ("pending", "inProgress"):
        return False
    _move(tx, home, id, {"state": {"kind": "pending"}})
    place = _place(tx, id)
    losses = cast(float, place["losses"]) + lost
    _queue(tx).patch(str(place["_id"]), {"phase": "pending", "due": due_ms, "losses": losses})
    return True


def cancel(tx: Transaction, home: str, id: str, now_ms: float) -> None:
    """Cancel a job of `home`: one that has not begun never will. No effect on one that has ended.

    Raises `DatabaseError` for what is no id of a scheduled function of this component.
    """
    tables = tx.namespace(home, system=True)
    if not isinstance(id, str) or tables.normalize_id(FUNCTIONS, id) is None:
        raise DatabaseError(
            "InvalidScheduledFunctionId",
            f"Invalid scheduled function ID. The ID must be an ID on the '{FUNCTIONS}' table.",
        )
    _finish(tx, home, id, {"kind": "canceled"}, now_ms)


def visible(tables: Namespace, document: Mapping[str, Value]) -> dict[str, Value]:
    """A job's document as functions see it, arguments included."""
    shown = {name: value for name, value in document.items() if name != "arguments"}
    return {**shown, "args": [codec.decode(_arguments(tables, document))]}


def forget(tx: Transaction, now_ms: float, limit: int) -> int:
    """Delete up to `limit` jobs that ended long ago; how many there were."""
    rows = list(_rows(tx, "done", limit, until_ms=now_ms))
    for row in rows:
        home = tx.namespace(str(row["home"]), system=True)
        document = home.get(str(row["job"]))
        if document is not None:
            if isinstance(document["arguments"], list):
                for part in document["arguments"]:
                    home.delete(str(part))
            home.delete(str(row["job"]))
        _queue(tx).delete(str(row["_id"]))
    return len(rows)


def has_old(tx: Transaction, now_ms: float) -> bool:
    """Whether `forget` would find something."""
    return bool(list(_rows(tx, "done", 1, until_ms=now_ms)))


def _finish(tx: Transaction, home: str, id: str, ended: dict[str, object], now_ms: float) -> bool:
    document = tx.namespace(home, system=True).get(id, FUNCTIONS)
    if document is None or _kind(document) not in ("pending", "inProgress"):
        return False
    _end(tx, home, id, ended, now_ms)
    return True


def _end(tx: Transaction, home: str, id: str, ended: dict[str, object], now_ms: float) -> None:
    _move(tx, home, id, {"state": ended, "completedTime": now_ms})
    place = _queue(tx).counterpart(_QUEUE, id)
    _queue(tx).patch(place, {"phase": "done", "due": now_ms + KEPT_MS})


def _move(tx: Transaction, home: str, id: str, fields: Mapping[str, object]) -> None:
    tx.namespace(home, system=True).patch(id, fields, FUNCTIONS)


def _place(tx: Transaction, id: str) -> dict[str, Value]:
    """A job's row in the queue, which has the same internal id."""
    place = _queue(tx).get(_queue(tx).counterpart(_QUEUE, id))
    assert place is not None, "a job's document and its place go together"
    return place


def _jobs(tx: Transaction, phase: str, limit: int) -> list[Job]:
    return [_job(row) for row in _rows(tx, phase, limit)]


def _rows(
    tx: Transaction, phase: str, limit: int, until_ms: float | None = None
) -> Iterable[dict[str, Value]]:
    upper = None if until_ms is None else Bound("due", until_ms, inclusive=True)
    rows = _queue(tx).scan(_QUEUE, _BY_DUE, Bounds((("phase", phase),), None, upper), expect=limit)
    for _, row in zip(range(limit), rows, strict=False):
        yield row


def _job(row: Mapping[str, Any]) -> Job:
    retry = row["retry"]
    return Job(
        row["home"],
        row["job"],
        row["component"],
        row["path"],
        row["kind"],
        row["due"],
        int(row["attempts"]),
        int(row["losses"]),
        None if retry is None else msgspec.convert(retry, RetryPolicy, strict=False),
        row.get("trace", ""),
    )


def _store(tables: Namespace, arguments: bytes) -> Value:
    """Arguments as a job's document has them: themselves, or the ids of their parts."""
    if len(arguments) <= _INLINE_BYTES:
        return arguments
    starts = range(0, len(arguments), _PART_BYTES)
    parts = (arguments[start : start + _PART_BYTES] for start in starts)
    return [tables.insert(_ARGUMENTS, {"part": part}) for part in parts]


def _arguments(tables: Namespace, document: Mapping[str, Value]) -> bytes:
    stored = document.get("arguments", b"{}")
    if isinstance(stored, bytes):
        return stored
    parts = (tables.get(id) for id in cast(list[str], stored))
    return b"".join(cast(bytes, part["part"]) for part in parts if part is not None)


def _kind(document: Mapping[str, Value]) -> str:
    return str(cast(dict[str, Value], document["state"])["kind"])


def _queue(tx: Transaction) -> Namespace:
    return tx.namespace("", system=True)
