"""What the author of a kind of log stream writes.

Owns the base class, the description of its settings, and how both say no. Never runs in an isolate;
one object of the class carries one stream, in the lane process. One invariant: a sink holds no
state that matters: the run log and the stream's cursor do.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from pyconvex.delivery import (
    Accepted,
    Limits,
    Refused,
    Request,
    Response,
    Retry,
    TooLarge,
    Transport,
    Unreachable,
    Verdict,
    classify,
)
from pyconvex.log_streams.deployment import Deployment
from pyconvex.log_streams.events import StreamEvent, verification
from pyconvex.runlog.entries import RunEntry

#: A stream's settings by their names on the wire; what is not set is None or not there.
Config: TypeAlias = Mapping[str, str | int | float | bool | None]

#: Attempts to verify, and the pause before the second, which doubles.
VERIFY_ATTEMPTS = 3
VERIFY_PAUSE_S = 1.0


class ConfigRefused(Exception):
    """Settings that a stream can't have; `code` and message are what the API answers."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class NotVerified(Exception):
    """Whoever should receive events does not take them; the message is the stream's `reason`."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: what it is called, how a form asks for it, and what is wrong when it is."""

    #: On the wire, in camelCase.
    name: str
    label: str
    kind: Literal["text", "url", "secret", "choice", "number", "flag"] = "text"
    required: bool = False
    placeholder: str = ""
    help: str = ""
    #: Of a "choice".
    choices: tuple[str, ...] = ()
    #: What a form begins with.
    default: str | int | float | bool | None = None
    #: The app's variable that a form begins with, where it is set.
    prefill_env: str = ""
    #: What a form says when a required one is missing, and when the value can't be one.
    required_message: str = ""
    invalid_message: str = ""
    #: The API's code for a value that can't be one.
    error_code: str = "BadJsonBody"

    def check(self, value: object) -> None:
        """Raise `ConfigRefused` unless this can be the value."""
        if value is None or value == "":
            if self.required:
                missing = self.required_message or f"{self.label} is required"
                raise ConfigRefused("BadJsonBody", f"{self.name}: {missing.rstrip('.')}.")
            return
        if not self._accepts(value):
            raise ConfigRefused(self.error_code, self._wrong(value))

    def _accepts(self, value: object) -> bool:
        match self.kind:
            case "flag":
                return isinstance(value, bool)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "choice":
                return value in self.choices
            case "url":
                return isinstance(value, str) and is_url(value)
            case _:
                return isinstance(value, str)

    def _wrong(self, value: object) -> str:
        if self.kind == "secret":
            return f"{self.name} must be text."
        if self.kind == "choice":
            return f"{self.name} must be one of {', '.join(self.choices)}."
        said = self.invalid_message or f"must be a {self.kind}"
        return f"{self.name}: {said} (it is {str(value)[:200]!r})."


class Sink:
    """Where a stream goes. Subclass it, and name the class in the entry point group
    `pyconvex.log_streams` under its `stream_type`.

        class TeaSink(Sink):
            stream_type = "tea"
            title, summary = "Tea", "Sends every line to a teapot."
            fields = (Field(name="url", label="URL", kind="url", required=True),)

            def encode(self, events, config, deployment):
                return Request("POST", str(config["url"]), (), b"".join(e.json() for e in events))

    The host reads the run log, cuts batches, retries, splits on 413 and 400, backs off and moves
    the stream's cursor. The same bytes are sent at every attempt; after a crash the same events
    may be sent again, in other batches, with the same ids.
    """

    #: On the wire, such as "webhook".
    stream_type: ClassVar[str]
    #: For people: a name, and a sentence about what it does.
    title: ClassVar[str]
    summary: ClassVar[str] = ""
    fields: ClassVar[tuple[Field, ...]] = ()
    #: The topics of a stream that chooses none; None lets whoever sets it up choose.
    topics: ClassVar[frozenset[str] | None] = None
    #: Words that `ctx.report` is given of which the sink wants to hear, see `note`.
    reads: ClassVar[frozenset[str]] = frozenset()
    #: Settings that the host makes up and shows to administrators, such as "hmacSecret".
    generated: ClassVar[tuple[str, ...]] = ()
    #: When a batch is full; bytes are those of entries of the run log. A request, a file's sync and
    #: an acknowledgement cost what a hundred events do, so a busy host needs large batches: half a
    #: second of events is one until there are a thousand a second. What a receiver calls too large
    #: comes in halves, and further batches are smaller.
    limits: ClassVar[Limits] = Limits(max_rows=500, max_bytes=1024 * 1024)

    def validate(self, config: Config) -> None:
        """Raise `ConfigRefused` for settings that can't be right; each field was checked."""

    def admit(self, event: StreamEvent) -> bool:
        """Whether to send this event; asked once for each, in order: the place for sampling."""
        return True

    def note(self, entry: RunEntry) -> None:
        """Something that a function reported under a word of `reads`.

        Asked in order with `admit`: before the error that left the same run, if one did. It is
        not sent, so after a restart it may come again, and what was delivered may not.
        """

    def encode(
        self, events: Sequence[StreamEvent], config: Config, deployment: Deployment
    ) -> Request | None:
        """The request that delivers `events`, or None when nothing needs to be sent for them.

        The same for the same arguments, whenever it is called; what it raises is taken as the
        events' fault: the host halves the batch until the one that can't be encoded is alone.
        """
        raise NotImplementedError

    async def send(self, request: Request, config: Config, transport: Transport) -> Response:
        """Send once. Raises `Unreachable`. For what is not HTTP, or is signed as it leaves."""
        return await transport.send(request)

    def classify(self, response: Response) -> Verdict:
        """What an answer means; override where a receiver differs from plain HTTP."""
        return classify(response)

    async def verify(self, config: Config, deployment: Deployment, transport: Transport) -> None:
        """Raise `NotVerified` unless events would be taken. By default: send a verification."""
        request = self.encode([verification(time.time() * 1000)], config, deployment)
        if request is not None:
            await deliver_once(self, request, config, transport)


async def deliver_once(
    sink: Sink,
    request: Request,
    config: Config,
    transport: Transport,
    *,
    pause_s: float = VERIFY_PAUSE_S,
) -> None:
    """Send something that no queue holds: three attempts, then raise `NotVerified`."""
    failure = ""
    for attempt in range(VERIFY_ATTEMPTS):
        if attempt:
            # Full jitter, as for deliveries.
            await asyncio.sleep(random.random() * pause_s * 2 ** (attempt - 1))  # noqa: S311
        try:
            verdict = sink.classify(await sink.send(request, config, transport))
        except Unreachable as error:
            verdict = Retry(str(error))
        match verdict:
            case Accepted():
                return
            case Retry(reason, after_s) if after_s is None or after_s < 1:
                failure = reason
            case Refused(reason) | TooLarge(reason) | Retry(reason):
                raise NotVerified(f"The endpoint rejected the request with {reason}")
    raise NotVerified(f"Gave up after {VERIFY_ATTEMPTS} attempts, last failure: {failure}")


def is_url(text: str) -> bool:
    """Whether this is an absolute HTTP address.

    >>> is_url("https://logs.example/in"), is_url("logs.example"), is_url("https://")
    (True, False, False)
    """
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
