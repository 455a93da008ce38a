"""The queries that one client subscribes to, and what it has seen of each.

Owns staging changes, the plan of a round, and which results are news. Never talks to the host, and
knows no versions. One invariant: between `begin` and `finish` of a round, changes touch the next
round only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from pyconvex.identity import Admin, Identity
from pyconvex.runtime.calls import Failure, FunctionCall, FunctionKind, Origin, QueryResult
from pyconvex.runtime.notation import ArgumentsError, PathError, canonical_path, one_object
from pyconvex.sync.messages import Action, Add, Mutation, modification, removal
from pyconvex.sync.results import ResultEncoder


class Opening(msgspec.Struct, frozen=True):
    """A watch to open; `serial` names it from now on."""

    serial: int
    call: FunctionCall
    journal: str | None


class Round(msgspec.Struct, frozen=True):
    """What the host has to do for one Transition."""

    opening: tuple[Opening, ...]
    #: Serials of watches that nobody needs any more; close them after opening the others, so that
    #: what both want stays warm.
    closing: tuple[int, ...]
    #: Serials of all watches to settle; results come back in this order.
    settling: tuple[int, ...]
    not_before_ts: int


@dataclass(slots=True, eq=False)
class _Query:
    """One subscription."""

    added: Add
    #: The result of a query that can't be asked for; such a query has no watch.
    refused: QueryResult | None = None
    #: The watch's name; 0 until a round opens one.
    serial: int = 0
    #: For which version of the identity the watch was opened.
    identity_version: int = -1
    #: The last result that was sent or found equal to what was sent.
    seen: QueryResult | None = None
    fingerprint: bytes = b""

    @property
    def journal(self) -> str | None:
        return self.seen.journal if self.seen is not None else self.added.journal


class QuerySet:
    """A client's subscriptions; `begin` and `finish` frame a round."""

    def __init__(self, encoder: ResultEncoder, *, new_request_id: Callable[[], str]) -> None:
        self._encoder = encoder
        self._new_request_id = new_request_id
        #: The session, known once the client has said hello.
        self.client = ""
        self._queries: dict[int, _Query] = {}
        #: Query ids whose removal is to be acknowledged in the next round.
        self._removed: set[int] = set()
        self._closing: list[int] = []
        self._last_serial = 0
        #: The round in flight: its queries with a watch, those without, and its acknowledgements.
        self._watched: list[_Query] = []
        self._refused: list[_Query] = []
        self._acknowledging: set[int] = set()

    def __len__(self) -> int:
        return len(self._queries)

    def add(self, message: Add) -> None:
        """Stage a subscription; an id that is taken is replaced, which real clients rely on."""
        if message.query_id in self._queries:
            self.remove(message.query_id)
        self._removed.discard(message.query_id)
        self._queries[message.query_id] = _Query(message)

    def remove(self, query_id: int) -> None:
        """Stage the end of a subscription; an unknown id is acknowledged all the same."""
        query = self._queries.pop(query_id, None)
        if query is not None and query.serial:
            self._closing.append(query.serial)
        self._removed.add(query_id)

    def begin(self, identity: Identity, identity_version: int, not_before_ts: int) -> Round:
        """Plan a round over all queries as they are staged now, for this caller."""
        opening = []
        for query in self._queries.values():
            if query.identity_version == identity_version:
                continue
            query.identity_version = identity_version
            request_id = self._new_request_id()
            origin: Origin = "identityChange" if query.serial else "webSocket"
            call = function_call("query", query.added, identity, request_id, self.client, origin)
            if isinstance(call, Failure):
                query.refused = query.refused or QueryResult(call)
                continue
            if query.serial:
                self._closing.append(query.serial)
            self._last_serial += 1
            query.serial = self._last_serial
            opening.append(Opening(query.serial, call, query.journal))
        return self._plan(opening, not_before_ts)

    def finish(self, results: Sequence[QueryResult]) -> list[msgspec.Raw]:
        """The modifications that this round's results mean for the client."""
        modifications = [removal(query_id) for query_id in self._acknowledging]
        news = zip(self._watched, results, strict=True)
        refusals = ((query, query.refused) for query in self._refused)
        for query, result in (*news, *refusals):
            # A query that was removed or replaced meanwhile belongs to the next round.
            if result is not None and self._queries.get(query.added.query_id) is query:
                modifications += self._news(query, result)
        return modifications

    def _plan(self, opening: list[Opening], not_before_ts: int) -> Round:
        closing, self._closing = tuple(self._closing), []
        self._acknowledging, self._removed = self._removed, set()
        self._watched = [query for query in self._queries.values() if query.refused is None]
        self._refused = [query for query in self._queries.values() if query.refused is not None]
        settling = tuple([query.serial for query in self._watched])
        return Round(tuple(opening), closing, settling, not_before_ts)

    def _news(self, query: _Query, result: QueryResult) -> list[msgspec.Raw]:
        if result is query.seen:
            return []
        encoded = self._encoder.encode(result)
        query.seen = result
        if encoded.fingerprint == query.fingerprint:
            return []
        query.fingerprint = encoded.fingerprint
        return [modification(query.added.query_id, encoded.tail)]


def function_call(
    kind: FunctionKind,
    message: Add | Mutation | Action,
    identity: Identity,
    request_id: str,
    client: str,
    origin: Origin = "webSocket",
) -> FunctionCall | Failure:
    """The call that a client asks for, or why there can be none."""
    try:
        return FunctionCall(
            kind=kind,
            path=canonical_path(message.udf_path),
            args=one_object(bytes(message.args)),
            identity=identity,
            request_id=request_id,
            origin=origin,
            component=message.component_path or "",
            public_only=not isinstance(identity, Admin),
            client=client,
        )
    except (PathError, ArgumentsError) as error:
        return Failure(str(error))
