"""The recordings route.

Owns `/s/`: a 200 means that the snapshots of the request are durable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from posthog_local.http.exchange import Request, Response, json_response, text_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.decode import decode
from posthog_local.ingest.routes import payload_of
from posthog_local.ingest.tokens import Tokens
from posthog_local.replay.snapshot import RecordingPiece, read_piece

_MAX_BODY_BYTES = 25 * 1024 * 1024
_log = logging.getLogger(__name__)

AddPiece = Callable[[RecordingPiece], Awaitable[None]]


def replay_endpoints(add_piece: AddPiece, tokens: Tokens) -> Iterable[Endpoint]:
    """The route over a sink that returns once the piece is durable."""

    async def snapshots(request: Request) -> Response:
        now_us = time.time_ns() // 1000
        piece = read_piece(decode(payload_of(request, legacy=True)), now_us)
        if request.quota_limited:
            return json_response({"status": 1, "quota_limited": ["recordings"]})
        try:
            if not await tokens.foreign(piece.token, request.path):
                await add_piece(piece)
        except Exception:
            _log.exception("snapshots could not be stored")
            return text_response(503, "the snapshots could not be stored; send them again")
        beacon = request.query.get("beacon") == "1"
        return Response(status=204) if beacon else json_response({"status": 1})

    yield Endpoint(paths=("/s",), handler=snapshots, max_body_bytes=_MAX_BODY_BYTES, warns=True)
