"""Outcomes as clients get them; a query's is encoded once, however many clients watch it.

Owns the encoding of results and responses, what makes two results equal for a client, and a cache
of both. Never keeps a result alive. One invariant: the request id in a failure's text takes no part
in equality.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from pyconvex.runtime.calls import Outcome, QueryResult, Success
from pyconvex.runtime.notation import encode_ts, error_text
from pyconvex.sync.messages import (
    ActionResponse,
    FailedTail,
    MutationResponse,
    Tail,
    UpdatedTail,
    encode_tail,
)


class EncodedResult(NamedTuple):
    """A result, ready to send, and what it is compared by."""

    tail: Tail
    #: Equal for results that look the same to a client, so that they are not sent again.
    fingerprint: bytes


class ResultEncoder:
    """Encodes results for all sessions of one endpoint.

    With `redact`, failures say only that there was one, and log lines stay on the server; data of a
    `ConvexError` is always sent.
    """

    def __init__(self, *, redact: bool, new_request_id: Callable[[], str]) -> None:
        self._redact = redact
        self._new_request_id = new_request_id
        self._encoded: WeakKeyDictionary[QueryResult, EncodedResult] = WeakKeyDictionary()

    def encode(self, result: QueryResult) -> EncodedResult:
        """The encoded form of an execution; the same object gives the same answer."""
        encoded = self._encoded.get(result)
        if encoded is None:
            encoded = self._encoded[result] = self._encode(result)
        return encoded

    def mutation_response(
        self, request_id: int, outcome: Outcome, trace_id: str
    ) -> MutationResponse:
        """The answer to a mutation; `trace_id` is for the text of a failure."""
        return MutationResponse(
            request_id=request_id,
            success=isinstance(outcome, Success),
            result=self._result(outcome, trace_id),
            ts=encode_ts(outcome.ts) if isinstance(outcome, Success) else None,
            log_lines=self._log_lines(outcome),
            error_data=_error_data(outcome),
        )

    def action_response(self, request_id: int, outcome: Outcome, trace_id: str) -> ActionResponse:
        """The answer to an action."""
        return ActionResponse(
            request_id=request_id,
            success=isinstance(outcome, Success),
            result=self._result(outcome, trace_id),
            log_lines=self._log_lines(outcome),
            error_data=_error_data(outcome),
        )

    def _encode(self, result: QueryResult) -> EncodedResult:
        outcome = result.outcome
        lines = self._log_lines(outcome)
        if isinstance(outcome, Success):
            tail = encode_tail(UpdatedTail(msgspec.Raw(outcome.value), lines, result.journal))
            return EncodedResult(tail, _fingerprint(b"updated", outcome.value, lines))
        text = error_text(outcome, result.request_id or self._new_request_id(), redact=self._redact)
        tail = encode_tail(FailedTail(text, lines, result.journal, _error_data(outcome)))
        told = b"" if self._redact else outcome.message.encode()
        return EncodedResult(tail, _fingerprint(b"failed", told, lines, outcome.data))

    def _result(self, outcome: Outcome, trace_id: str) -> msgspec.Raw | str:
        if isinstance(outcome, Success):
            return msgspec.Raw(outcome.value)
        return error_text(outcome, trace_id, redact=self._redact)

    def _log_lines(self, outcome: Outcome) -> tuple[str, ...]:
        return () if self._redact else outcome.log_lines


def _error_data(outcome: Outcome) -> msgspec.Raw | msgspec.UnsetType:
    if isinstance(outcome, Success) or outcome.data is None:
        return msgspec.UNSET
    return msgspec.Raw(outcome.data)


def _fingerprint(
    kind: bytes, content: bytes, log_lines: tuple[str, ...], data: bytes | None = None
) -> bytes:
    digest = blake2b(kind, digest_size=16)
    # Each part goes in behind its length, so that no two lists of parts look the same.
    for part in (content, b"" if data is None else b"=" + data, *map(str.encode, log_lines)):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()
