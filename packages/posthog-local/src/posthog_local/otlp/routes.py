"""What every OTLP route shares: token, quota, encodings, and errors as JSON.

Owns the way of a request to whoever keeps its records. `{}` with 200 means that these are durable.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.refusal import Refusal
from posthog_local.http.router import Endpoint
from posthog_local.ingest.compression import unpack
from posthog_local.ingest.tokens import Tokens
from posthog_local.otlp.request import bearer_token

_log = logging.getLogger(__name__)


def otlp_endpoint(
    *,
    paths: tuple[str, ...],
    max_body_bytes: int,
    over_quota: Response,
    tokens: Tokens,
    keep: Callable[[bytes], Awaitable[None]],
) -> Endpoint:
    """An endpoint that hands the unpacked body to `keep`, which returns once all is durable."""

    async def handler(request: Request) -> Response:
        try:
            token = bearer_token(request)
            if request.quota_limited:
                return over_quota
            if not await tokens.foreign(token, request.path):
                await keep(unpack(request.body, request.header("content-encoding")))
        except Refusal as refusal:
            return json_response({"error": refusal.sentence}, refusal.status)
        except Exception:
            _log.exception("an OTLP request could not be stored")
            return json_response({"error": "it could not be stored; send it again"}, 503)
        return json_response({})

    return Endpoint(
        paths=paths,
        handler=handler,
        max_body_bytes=max_body_bytes,
        methods=frozenset(["POST"]),
        warns=True,
    )
