"""Log streams as they are kept: a row each, in a system table.

Owns the row's form and its changes, inside a transaction of the host's own. Never verifies and
never sends. One invariant: a verdict counts only for the settings that it was made about.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from pyconvex.database import Transaction
from pyconvex.log_streams import Config
from pyconvex.values import ids
from pyconvex.values.errors import InvalidId

_TABLE = "_log_streams"

#: PENDING until it is verified; ACTIVE or FAILED with a reason after it; PENDING again with each
#: change of settings. Only active ones send; all keep their place in the log.
State = Literal["pending", "active", "failed"]


class StreamRecord(msgspec.Struct, frozen=True):
    """One stream."""

    id: str
    stream_type: str
    config: dict[str, str | int | float | bool | None]
    #: None for all.
    topics: tuple[str, ...] | None
    state: State = "pending"
    #: Why it failed.
    reason: str = ""
    #: Counts changes of settings.
    version: int = 1


class _Row(msgspec.Struct):
    type: str
    config: dict[str, str | int | float | bool | None]
    topics: tuple[str, ...] | None
    state: State
    reason: str
    version: int


def all_streams(tx: Transaction) -> list[StreamRecord]:
    """Every stream, oldest first."""
    return [
        _record(str(row["_id"]), str(row["settings"]))
        for row in tx.namespace("", system=True).scan(_TABLE)
    ]


def add(
    tx: Transaction, stream_type: str, config: Config, topics: tuple[str, ...] | None
) -> StreamRecord:
    """A new stream, not verified yet."""
    made = StreamRecord("", stream_type, dict(config), topics)
    id = tx.namespace("", system=True).insert(_TABLE, {"settings": _text(made)})
    return replace(made, id=id)


def change(tx: Transaction, record: StreamRecord) -> None:
    """Keep a stream as it is now."""
    tx.namespace("", system=True).replace(record.id, {"settings": _text(record)}, _TABLE)


def judge(tx: Transaction, record: StreamRecord, state: State, reason: str) -> bool:
    """How the verification of these settings ended; False when the stream has others by now."""
    now = next((each for each in all_streams(tx) if each.id == record.id), None)
    if now is None or now.version != record.version:
        return False
    change(tx, replace(now, state=state, reason=reason))
    return True


def remove(tx: Transaction, id: str) -> None:
    """Take a stream away."""
    tx.namespace("", system=True).delete(id, _TABLE)


def is_id(text: str) -> bool:
    """Whether a stream could have this id."""
    try:
        ids.decode_id(text)
    except InvalidId:
        return False
    return True


def _record(id: str, settings: str) -> StreamRecord:
    row = msgspec.json.decode(settings, type=_Row)
    return StreamRecord(id, row.type, row.config, row.topics, row.state, row.reason, row.version)


def _text(record: StreamRecord) -> str:
    row = _Row(
        record.stream_type,
        record.config,
        record.topics,
        record.state,
        record.reason,
        record.version,
    )
    return msgspec.json.encode(row).decode()
