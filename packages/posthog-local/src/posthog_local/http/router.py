"""PostHog's routes: finds the handler of a path, reads the body within its cap, answers with CORS.

Owns what all those routes share, so that a handler is only about its own subject. Whatever is no
PostHog route goes to `fallback`. Injected faults act here, before or after the handler.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from posthog_local.http.exchange import (
    AsgiApp,
    Handler,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    TooLarge,
    head_of,
    read_body,
    send_early,
    send_response,
    text_response,
)
from posthog_local.http.faults import Fault, FaultBook
from posthog_local.http.refusal import Refusal

# Name of the ASGI extension with which our server lets an application drop the connection.
ABORT_EXTENSION = "posthog_local.abort"
OnRefusal: TypeAlias = Callable[[Request, Response], Awaitable[None]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a handler lives. Every path also answers with a slash at its end.

    A part of a path in braces stands for any text without a slash.
    """

    paths: tuple[str, ...]
    handler: Handler
    max_body_bytes: int
    methods: frozenset[str] = frozenset(["GET", "POST"])
    # Whether an SDK calls it: then what it refuses is noted, as SDKs say little about that.
    warns: bool = False


class Router:
    """The ASGI application for PostHog's routes, with everything else behind it."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        fallback: AsgiApp,
        faults: FaultBook,
        on_refusal: OnRefusal,
    ) -> None:
        self._on_refusal = on_refusal
        paths = [(path, one) for one in endpoints for path in one.paths]
        self._endpoints = {path: one for path, one in paths if "{" not in path}
        self._patterns = [(_pattern(path), one) for path, one in paths if "{" in path]
        self._fallback = fallback
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        endpoint, values = self._find(path.rstrip("/"))
        if endpoint is None:
            await self._fallback(scope, receive, send)
            return
        head = head_of(scope, values)
        fault = self._faults.take(path) if head.method != "OPTIONS" else None
        cors = _cors_headers(head, endpoint.methods)
        try:
            response = await self._respond(endpoint, head, receive, fault)
        except TooLarge:
            sentence = f"the body is larger than {endpoint.max_body_bytes} bytes"
            refused = msgspec.structs.replace(
                text_response(413, sentence), headers=(("connection", "close"),)
            )
            refused = await self._noted(endpoint, head, refused)
            await send_early(refused, receive, send, cors)
            return
        if response is None:
            scope["extensions"][ABORT_EXTENSION]()
            return
        await send_response(response, send, cors)

    def _find(self, path: str) -> tuple[Endpoint | None, Mapping[str, str]]:
        endpoint = self._endpoints.get(path)
        if endpoint is not None:
            return endpoint, {}
        for pattern, one in self._patterns:
            if (match := pattern.fullmatch(path)) is not None:
                return one, match.groupdict()
        return None, {}

    async def _respond(
        self, endpoint: Endpoint, head: Request, receive: Receive, fault: Fault | None
    ) -> Response | None:
        if head.method == "OPTIONS":
            return Response(status=204)
        if head.method not in endpoint.methods:
            allowed = ", ".join(sorted(endpoint.methods))
            return msgspec.structs.replace(
                text_response(405, f"use {allowed}"), headers=(("allow", allowed),)
            )
        body = await read_body(head, receive, endpoint.max_body_bytes)
        limited = fault is not None and fault.quota_limited
        request = msgspec.structs.replace(head, body=body, quota_limited=limited)
        if fault is None:
            return await self._noted(endpoint, request, await _handle(endpoint, request))
        return await self._respond_with_fault(endpoint, request, receive, fault)

    async def _noted(self, endpoint: Endpoint, request: Request, response: Response) -> Response:
        if endpoint.warns and 400 <= response.status < 500:
            await self._on_refusal(request, response)
        return response

    async def _respond_with_fault(
        self, endpoint: Endpoint, request: Request, receive: Receive, fault: Fault
    ) -> Response | None:
        if fault.latency_ms:
            await asyncio.sleep(fault.latency_ms / 1000)
        if fault.hang:
            await self._faults.hold(fault, receive)
            return None
        if fault.status is not None:
            after = fault.retry_after
            headers = () if after is None else (("retry-after", str(after)),)
            return msgspec.structs.replace(text_response(fault.status, fault.body), headers=headers)
        response = await _handle(endpoint, request)
        return None if fault.lose_response else response


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))


async def _handle(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint.handler(request)
    except Refusal as refusal:
        return text_response(refusal.status, refusal.sentence)


def _cors_headers(head: Request, methods: frozenset[str]) -> tuple[tuple[bytes, bytes], ...]:
    origin = head.headers.get("origin")
    if origin is None:
        return ()
    headers = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]
    if head.method == "OPTIONS":
        wanted = head.header("access-control-request-headers") or "content-type"
        allowed = [*sorted(methods | {"GET", "POST"}), "OPTIONS"]
        headers += [
            (b"access-control-allow-methods", ", ".join(allowed).encode()),
            (b"access-control-allow-headers", wanted.encode("latin-1")),
            (b"access-control-max-age", b"3600"),
        ]
    return tuple(headers)
