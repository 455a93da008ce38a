"""One webhook request: its events, and whether they are worth taking.

Owns reading the body, of either format, and the rule about old batches. Never checks a signature.
One invariant: a body is taken whole or refused whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from posthog_convex.logs.events import NoEvent, parse_event

#: Convex's test of a new webhook.
VERIFICATION = "verification"


class BadBody(ValueError):
    """The body is no list of events; the message says where."""


class Delivery(msgspec.Struct, frozen=True):
    """What a request brought."""

    #: Each event as its JSON text, without Convex's tests.
    texts: tuple[bytes, ...]
    #: When the newest of all events happened, in milliseconds since 1970; None without any.
    newest_ms: float | None
    #: Names these events, so that they can be known again; Convex's tests don't count, because
    #: one of the moment may lead a batch that is sent again.
    digest: bytes

    def is_too_old(self, now_ms: float, window_s: float) -> bool:
        """Whether it comes later than the window allows; 0 allows everything."""
        return (
            bool(window_s)
            and self.newest_ms is not None
            and now_ms - self.newest_ms > window_s * 1000
        )


def read_delivery(body: bytes) -> Delivery:
    """The events of a body: a JSON array, or a JSON object a line. Raises `BadBody`.

    >>> read_delivery(b'{"topic":"verification","timestamp":7}').newest_ms
    7
    """
    texts: list[bytes] = []
    newest: float | None = None
    for number, text in enumerate(_texts(body), 1):
        try:
            event, _ = parse_event(text)
        except NoEvent as error:
            raise BadBody(f"event {number} is {error}") from None
        newest = event.timestamp if newest is None else max(newest, event.timestamp)
        if event.topic != VERIFICATION:
            texts.append(text)
    # Events have no line breaks, so this names their sequence.
    return Delivery(tuple(texts), newest, hashlib.sha256(b"\n".join(texts)).digest())


def _texts(body: bytes) -> Sequence[bytes]:
    if body.lstrip().startswith(b"["):
        try:
            return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadBody(f"the body is no JSON array: {error}") from None
    return [line for line in body.split(b"\n") if line.strip()]
