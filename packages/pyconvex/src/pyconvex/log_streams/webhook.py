"""The webhook: events by POST to any address, signed as Convex signs them.

Owns body and signature. Never follows a redirect. One invariant: what is signed is what is sent,
byte for byte, with the UTF-8 bytes of the stream's secret as key.

Receivers as Convex documents them refuse what is older than five minutes, which they read off the
first event. What was kept through an outage is older. So a batch that leaves late is led by a
verification of the moment, which receivers know and pass over, and is signed as it leaves.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

import pyconvex
from pyconvex.delivery import Request, Response, Transport
from pyconvex.log_streams.deployment import Deployment
from pyconvex.log_streams.events import StreamEvent, verification
from pyconvex.log_streams.sink import Config, ConfigRefused, Field, Sink

SIGNATURE = "x-webhook-signature"
HMAC_FIELD = "hmacSecret"
#: A batch whose first event is older than this is led by a verification; receivers allow 5 minutes,
#: and clocks differ.
LATE_AFTER_MS = 60_000
JSON, JSONL = "json", "jsonl"


class WebhookSink(Sink):
    """Sends events to an address of yours."""

    stream_type = "webhook"
    title = "Webhook"
    summary = "Posts events to an address of yours, signed, as JSON or a JSON object a line."
    fields = (
        Field(
            name="url",
            label="URL",
            kind="url",
            required=True,
            placeholder="https://logs.example.com/convex",
            required_message="URL is required",
            invalid_message="Must be a valid URL",
            error_code="InvalidWebhookUrl",
        ),
        Field(
            name="format",
            label="Format",
            kind="choice",
            required=True,
            choices=(JSON, JSONL),
            default=JSONL,
            help="jsonl is an object a line, json one array.",
        ),
    )
    generated = (HMAC_FIELD,)

    def __init__(self, now_ms: Callable[[], float] = lambda: time.time() * 1000) -> None:
        self._now_ms = now_ms

    def validate(self, config: Config) -> None:
        url = str(config["url"])
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ConfigRefused(
                "InvalidWebhookUrl", "The URL must not hold a user name or password."
            )

    def encode(
        self, events: Sequence[StreamEvent], config: Config, deployment: Deployment
    ) -> Request | None:
        origin = b',"convex":' + msgspec.json.encode(deployment) + b"}"
        elements = [event.json()[:-1] + origin for event in events]
        if config["format"] == JSON:
            body = b"[" + b",".join(elements) + b"]"
        else:
            body = b"\n".join(elements)
        headers = (
            ("Content-Type", "application/json"),
            ("User-Agent", f"pyconvex/{pyconvex.__version__}"),
        )
        return Request("POST", str(config["url"]), headers, body)

    async def send(self, request: Request, config: Config, transport: Transport) -> Response:
        prompt = led_by_now(request, self._now_ms())
        return await transport.send(signed(prompt, str(config[HMAC_FIELD])))


class _Timed(msgspec.Struct):
    timestamp: int


def led_by_now(request: Request, now_ms: float) -> Request:
    """The request, led by a verification of this moment if its first event is older."""
    body = request.body
    array = body.startswith(b"[")
    first = body[1:] if array else body
    age = now_ms - _first_timestamp(first)
    if age < LATE_AFTER_MS:
        return request
    origin = first[first.rindex(b',"convex":') :].removesuffix(b"]")
    lead = verification(now_ms).json()[:-1] + origin
    led = b"[" + lead + b"," + first if array else lead + b"\n" + first
    return replace(request, body=led)


def _first_timestamp(elements: bytes) -> int:
    # All events begin with their topic and their time.
    at = elements.index(b'"timestamp":') + len(b'"timestamp":')
    end = at
    while elements[end : end + 1].isdigit():
        end += 1
    return int(elements[at:end])


def signed(request: Request, secret: str) -> Request:
    """The request with its signature.

    >>> signed(Request("POST", "", (), b"[]"), "k").headers[0][1][:19]
    'sha256=963bbbf48d35'
    """
    digest = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    return replace(request, headers=((SIGNATURE, f"sha256={digest}"), *request.headers))
