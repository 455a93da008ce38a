"""The two ways out: log records to PostHog Logs, failures to Error Tracking.

Owns what becomes of events on each. Never sends. One invariant: the same events make the same
request, however often they are asked for.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from posthog_convex import events
from posthog_convex.destination import Destination
from posthog_convex.endpoints import BATCH, LOGS
from posthog_convex.events.batch import USER_AGENT, batch_body, batch_headers
from posthog_convex.exceptions import Budget, kind_of, told_of_left_out
from posthog_convex.logs import (
    Deployment,
    Link,
    LogRecord,
    Resource,
    as_printed,
    in_order,
    logs_body,
    logs_headers,
    parse_event,
    record_of,
)
from posthog_convex.receive.failures import error_event, failure
from posthog_convex.receive.spool import Row

_RECORDS = uuid.UUID("b1c5f0f2-6c1d-4a53-9d51-0c8f0f3c7d5e")


class Outgoing(msgspec.Struct, frozen=True):
    """One request, and how many things it carries."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    count: int


class Outlet(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """What the spool knows it by."""

    def encode(self, rows: Sequence[Row]) -> Outgoing | None:
        """The request for these events; None when there is nothing to send of them.

        What it raises is the events' fault.
        """

    def done(self, through: int) -> None:
        """Events up to this one won't be asked for again."""


class LogsOutlet:
    """Every event as a log record."""

    name = "logs"

    def __init__(self, destination: Destination, service_name: str | None) -> None:
        self._destination = destination
        self._service_name = service_name

    def encode(self, rows: Sequence[Row]) -> Outgoing | None:
        groups: dict[Deployment, list[LogRecord]] = {}
        for row in rows:
            event, rest = parse_event(row.body)
            if event.topic == "console" and event.message is not None:
                event = replace(event, message=as_printed(event.message))
            made = record_of(event, rest, Link(id=record_id(row)))
            groups.setdefault(event.convex or Deployment(), []).append(made)
        body = logs_body(
            [(Resource(of, self._service_name), in_order(made)) for of, made in groups.items()]
        )
        url = LOGS.url(self._destination.origin)
        return Outgoing(url, logs_headers(self._destination, USER_AGENT), body, len(rows))

    def done(self, through: int) -> None:
        """There is nothing to forget."""


def record_id(row: Row) -> str:
    """The same at every attempt to send it, also after a restart; a UUID.

    >>> record_id(Row(1, b"{}")) == record_id(Row(1, b"{}")) != record_id(Row(2, b"{}"))
    True
    """
    # Of the text too: a spool that is made anew counts from 1 again.
    text = hashlib.sha1(row.body, usedforsecurity=False).hexdigest()
    return str(uuid.uuid5(_RECORDS, f"{row.seq}:{text}"))


class ErrorsOutlet:
    """Each failed execution as an error, as far as the budget goes."""

    name = "errors"

    def __init__(self, destination: Destination, budget: Budget) -> None:
        self._destination = destination
        self._budget = budget
        #: What the budget said of events that are not done: it is asked once for each.
        self._decided: dict[int, int | None] = {}

    @property
    def left_out(self) -> int:
        """Errors that the budget had no room for, since the process began."""
        return self._budget.left_out

    def encode(self, rows: Sequence[Row]) -> Outgoing | None:
        texts = [text for row in rows if (text := self._text(row)) is not None]
        if not texts:
            return None
        body = batch_body(texts, self._destination.token)
        url = BATCH.url(self._destination.origin)
        return Outgoing(url, batch_headers(), body, len(texts))

    def done(self, through: int) -> None:
        """Forget what was said of these."""
        self._decided = {seq: said for seq, said in self._decided.items() if seq > through}

    def _text(self, row: Row) -> str | None:
        event, _ = parse_event(row.body)
        found = failure(event)
        if found is None:
            return None
        uuid, entries = found
        if row.seq not in self._decided:
            # By the time when it happened: what waited for PostHog to come back was no flood.
            decided = self._budget.decide(uuid, kind_of(entries), event.timestamp / 1000)
            self._decided[row.seq] = decided
        left_out = self._decided[row.seq]
        if left_out is None:
            return None
        made = dict(error_event(event, uuid, entries))
        return events.exception_text(told_of_left_out(made, left_out))
