"""Log streams as pages read them: what there is, how it fares, and what can be added.

Owns these values and reading them from what the server tells. Never changes a stream. One
invariant: a kind of stream is known by its description alone, whoever brought it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

#: A setting's value, as the deployment's API takes it.
Setting: TypeAlias = str | float | bool | None


class LogStreamOperations(Protocol):
    """Who keeps the streams; what can't be raises `HostError` with the API's code and message."""

    async def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set up a stream: its kind, its id, and the secrets that were made for it."""

    async def update(self, id: str, body: Mapping[str, Any]) -> None:
        """Change what `body` names; None unsets."""

    async def delete(self, id: str) -> None:
        """Take a stream away."""

    async def rotate_secret(self, id: str) -> dict[str, Any]:
        """Make another secret."""

    async def test(self, id: str) -> dict[str, Any]:
        """Whether events would be taken now: `ok`, and else `reason`."""

    def get(self, id: str) -> dict[str, Any]:
        """A stream's settings and status."""

    def overview(self) -> dict[str, Any]:
        """All streams with how they fare, the kinds of streams with their fields, all topics."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of a kind of stream, as `pyconvex.log_streams.Field` describes it."""

    name: str
    label: str
    kind: Literal["text", "url", "secret", "choice", "number", "flag"] = "text"
    required: bool = False
    placeholder: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()
    default: str | float | bool | None = None
    prefill_env: str = ""
    #: What that variable says.
    prefill: str | None = None
    required_message: str = ""
    invalid_message: str = ""
    error_code: str = ""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of stream that can be had here."""

    name: str = msgspec.field(name="logStreamType")
    title: str
    summary: str
    chooses_topics: bool = msgspec.field(name="choosesTopics")
    fields: tuple[Field, ...]


class Status(msgspec.Struct, frozen=True):
    """`type` is the state of a stream; `reason` says why it failed."""

    type: str
    reason: str = ""


class Delivery(msgspec.Struct, frozen=True, rename="camel"):
    """How a stream's lane fares."""

    state: str = "stopped"
    circuit: str = "closed"
    waiting: int = 0
    #: Whether there are others behind these, which nobody counts.
    more_waiting: bool = False
    lag_seconds: float | None = None
    sent: int = 0
    sent_bytes: int = 0
    failed_attempts: int = 0
    set_aside: int = 0
    dropped: int = 0
    last_error: str | None = None


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that was set up."""

    id: str
    kind: str = msgspec.field(name="logStreamType")
    title: str
    status: Status
    #: None for all.
    topics: tuple[str, ...] | None = None
    delivery: Delivery = Delivery()
    #: The settings that may be shown, by name.
    settings: dict[str, Setting] = {}


class Overview(msgspec.Struct, frozen=True):
    """All of it."""

    streams: tuple[Stream, ...]
    types: tuple[Kind, ...]
    topics: tuple[str, ...]

    def stream(self, id: str) -> Stream | None:
        """The stream with this id."""
        return next((stream for stream in self.streams if stream.id == id), None)

    def kind(self, name: str) -> Kind | None:
        """The kind of stream with this name."""
        return next((kind for kind in self.types if kind.name == name), None)

    def addable(self) -> list[Kind]:
        """The kinds of which there is no stream yet: a deployment has one of each."""
        there = {stream.kind for stream in self.streams}
        return [kind for kind in self.types if kind.name not in there]


def read(told: Mapping[str, Any]) -> Overview:
    """What `LogStreamOperations.overview` tells."""
    known = {field.encode_name for field in msgspec.structs.fields(Stream)}
    streams = [
        {**stream, "settings": {name: stream[name] for name in stream if name not in known}}
        for stream in told["streams"]
    ]
    return msgspec.convert({**told, "streams": streams}, Overview)


def made_secrets(stream: Stream, kind: Kind | None) -> dict[str, str]:
    """The secrets that the deployment has made for a stream's receiver, by name."""
    fields = {field.name for field in kind.fields} if kind is not None else set(stream.settings)
    return {name: str(value) for name, value in stream.settings.items() if name not in fields}
