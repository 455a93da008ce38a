"""The messages of the sync protocol, and their JSON.

Owns the field names of both directions. Never interprets a message; arguments and results pass as
raw JSON. One invariant: what is sent holds only documented keys, since several independent clients
refuse a record with any other.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pyconvex.runtime.notation import encode_ts

#: Ids, versions and counts: JSON integers that fit 32 bits.
U32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class _FromClient(msgspec.Struct, frozen=True, tag_field="type", tag=True, rename="camel"):
    """Base of all messages that clients send."""


class Connect(_FromClient, frozen=True, tag=True):
    """The first message on a socket: which client this is, and how often it connected before."""

    session_id: str
    connection_count: U32 = 0
    last_close_reason: str | None = None
    #: The client's clock in milliseconds; clients that don't say send 0 or nothing.
    client_ts: float | None = None
    max_observed_timestamp: str | None = None


class Add(_FromClient, frozen=True, tag=True):
    """Subscribe to a query."""

    query_id: U32
    udf_path: str
    args: msgspec.Raw
    journal: str | None = None
    component_path: str | None = None


class Remove(_FromClient, frozen=True, tag=True):
    """End a subscription."""

    query_id: U32


class ModifyQuerySet(_FromClient, frozen=True, tag=True):
    """Subscriptions to begin and to end, and the version that the query set has then."""

    base_version: U32
    new_version: U32
    modifications: list[Add | Remove]


class Mutation(_FromClient, frozen=True, tag=True):
    """Run a mutation, after those that this socket asked for before."""

    request_id: U32
    udf_path: str
    args: msgspec.Raw
    component_path: str | None = None


class Action(_FromClient, frozen=True, tag=True):
    """Run an action, at once."""

    request_id: U32
    udf_path: str
    args: msgspec.Raw
    component_path: str | None = None


class Authenticate(_FromClient, frozen=True, tag=True):
    """From now on this socket speaks for somebody else."""

    base_version: U32
    token_type: str
    value: str | None = None
    #: The identity to act as: npm's name for it, and the Rust client's.
    impersonating: msgspec.Raw = msgspec.Raw()
    acting_as: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="acting_as")

    @property
    def identity_json(self) -> bytes | None:
        """The identity to act as; None when there is none."""
        given = (bytes(self.impersonating), bytes(self.acting_as))
        return next((raw for raw in given if raw not in (b"", b"null")), None)


class Event(_FromClient, frozen=True, tag=True):
    """The client's own measurements; nobody reads them here."""

    event_type: str = ""


ClientMessage = Connect | ModifyQuerySet | Mutation | Action | Authenticate | Event

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_encoder = msgspec.json.Encoder()


def decode(frame: str | bytes) -> ClientMessage:
    """One frame of a client; raises `msgspec.DecodeError` when it is no message of the protocol."""
    return _decoder.decode(frame)


class StateVersion(msgspec.Struct, frozen=True, rename="camel"):
    """What a client has seen: its query set, its identity, and the timestamp of all its results."""

    query_set: int = 0
    identity: int = 0
    ts: int = 0

    def reaches(self, query_set: int, identity: int) -> bool:
        """True when there is nothing in this query set and identity that the client hasn't seen."""
        return self.query_set == query_set and self.identity == identity

    def json(self) -> dict[str, Any]:
        """The version as the wire has it."""
        return {"querySet": self.query_set, "identity": self.identity, "ts": encode_ts(self.ts)}


class _FromServer(
    msgspec.Struct, frozen=True, tag_field="type", tag=True, rename="camel", kw_only=True
):
    """Base of all messages that the server sends."""


class Transition(_FromServer, frozen=True, tag=True, kw_only=True):
    """The step from one consistent set of results to the next."""

    start_version: dict[str, Any]
    end_version: dict[str, Any]
    modifications: list[msgspec.Raw]
    client_clock_skew: int | msgspec.UnsetType = msgspec.UNSET
    server_ts: int


class TransitionChunk(_FromServer, frozen=True, tag=True, kw_only=True):
    """A part of a Transition's text."""

    chunk: str
    part_number: int
    total_parts: int
    #: The same for all parts of one Transition.
    transition_id: str


class MutationResponse(_FromServer, frozen=True, tag=True, kw_only=True):
    """How a mutation ended; `result` is its value, or the text of the failure."""

    request_id: int
    success: bool
    result: msgspec.Raw | str
    ts: str | None
    log_lines: tuple[str, ...]
    error_data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ActionResponse(_FromServer, frozen=True, tag=True, kw_only=True):
    """How an action ended."""

    request_id: int
    success: bool
    result: msgspec.Raw | str
    log_lines: tuple[str, ...]
    error_data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class AuthError(_FromServer, frozen=True, tag=True, kw_only=True):
    """Why the identity doesn't hold; the socket closes after it."""

    error: str
    base_version: int
    auth_update_attempted: bool


class FatalError(_FromServer, frozen=True, tag=True, kw_only=True):
    """The client broke the protocol; official npm clients never come back after this."""

    error: str


class Ping(_FromServer, frozen=True, tag=True, kw_only=True):
    """Nothing but a sign of life."""


ServerMessage = (
    Transition | TransitionChunk | MutationResponse | ActionResponse | AuthError | FatalError | Ping
)


def encode(message: ServerMessage) -> bytes:
    """The message as one frame's JSON."""
    return _encoder.encode(message)


class UpdatedTail(msgspec.Struct, frozen=True, rename="camel"):
    """`QueryUpdated` without type and query id: the part that all watchers of a result share."""

    value: msgspec.Raw
    log_lines: tuple[str, ...]
    journal: str | None


class FailedTail(msgspec.Struct, frozen=True, rename="camel"):
    """`QueryFailed` without type and query id."""

    error_message: str
    log_lines: tuple[str, ...]
    journal: str | None
    error_data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Tail(msgspec.Struct, frozen=True):
    """The encoded result of one execution, ready to be sent under any query id."""

    type_name: bytes
    #: The fields without the opening brace.
    fields: bytes


def encode_tail(tail: UpdatedTail | FailedTail) -> Tail:
    """Encode what all watchers of a result share, once."""
    type_name = b"QueryUpdated" if isinstance(tail, UpdatedTail) else b"QueryFailed"
    return Tail(type_name, _encoder.encode(tail)[1:])


def modification(query_id: int, tail: Tail) -> msgspec.Raw:
    """A `QueryUpdated` or `QueryFailed` for one client."""
    return msgspec.Raw(b'{"type":"%b","queryId":%d,%b' % (tail.type_name, query_id, tail.fields))


def removal(query_id: int) -> msgspec.Raw:
    """A `QueryRemoved`."""
    return msgspec.Raw(b'{"type":"QueryRemoved","queryId":%d}' % query_id)
