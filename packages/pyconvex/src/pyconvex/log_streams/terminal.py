"""The terminal: events on the standard output of the host.

Owns how an event reads as a line. Never waits for the terminal in the way of other streams. One
invariant: what a function printed can't move a cursor or forge a line: control characters are
shown, not sent.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from pyconvex.delivery import Request, Response, Transport
from pyconvex.log_streams import v2
from pyconvex.log_streams.deployment import Deployment
from pyconvex.log_streams.events import StreamEvent
from pyconvex.log_streams.sink import Config, Field, Sink

TEXT, JSONL = "text", "jsonl"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TerminalSink(Sink):
    """Writes events to the standard output of the host, for people or for what collects it."""

    stream_type = "terminal"
    title = "Terminal"
    summary = "Writes events to the standard output of the host, as text or a JSON object a line."
    fields = (
        Field(
            name="format",
            label="Format",
            kind="choice",
            choices=(TEXT, JSONL),
            default=TEXT,
            help="jsonl is for what collects the output of containers.",
        ),
    )

    def encode(
        self, events: Sequence[StreamEvent], config: Config, deployment: Deployment
    ) -> Request | None:
        if config.get("format") == JSONL:
            origin = b',"convex":' + msgspec.json.encode(deployment) + b"}\n"
            body = b"".join(event.json()[:-1] + origin for event in events)
        else:
            body = "".join(as_text(event) + "\n" for event in events).encode()
        return Request("PRINT", "stdout:", (), body)

    async def send(self, request: Request, config: Config, transport: Transport) -> Response:
        await asyncio.to_thread(_write, request.body)
        return Response(200, {})

    async def verify(self, config: Config, deployment: Deployment, transport: Transport) -> None:
        """There is always one."""


def _write(body: bytes) -> None:
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


def as_text(event: StreamEvent) -> str:
    """An event as a line for people; further lines of a text are indented.

    >>> ran = v2.FunctionInfo(path="shop:buy", type="mutation")
    >>> line = v2.Console(
    ...     timestamp=0, function=ran, log_level="WARN", message="'low'", is_truncated=False
    ... )
    >>> as_text(StreamEvent(event=line, id="", ts_ms=0.0, text="low"))
    '1970-01-01 00:00:00.000 [WARN] shop:buy low'
    """
    said = _CONTROL.sub(_shown, f"{_said(event)}").replace("\n", "\n    ")
    moment = datetime.fromtimestamp(event.ts_ms / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {said}"


def _said(event: StreamEvent) -> str:
    match event.event:
        case v2.Console(function=function, log_level=level):
            return f"[{level}] {_name(function)} {event.text}"
        case v2.FunctionExecution(function=function) as run:
            how = "will run again" if run.will_retry else run.status
            said = f"{function.type} {_name(function)} {how} in {run.execution_time_ms} ms"
            return f"{said}: {run.error_message}" if run.error_message else said
        case v2.AuditLog(audit_log_action=action, audit_log_metadata=metadata):
            return f"{action} {metadata}"
        case other:
            fields = event.fields()
            told = [f"{k}={v}" for k, v in fields.items() if k not in ("topic", "timestamp")]
            return " ".join([other.topic, *told])


def _name(function: v2.FunctionInfo) -> str:
    """The function's path, behind that of its component if it belongs to one."""
    within = function.component_path
    return f"{within}/{function.path}" if isinstance(within, str) else function.path


def _shown(found: re.Match[str]) -> str:
    return repr(found.group())[1:-1]
