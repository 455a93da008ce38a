"""The door of the API: who may come in, how errors look, and how lists are paged.

Owns what every route of the API shares, so that a handler is only about its own subject. Every
answer is of the one project there is, whatever id the path names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec

from posthog_local.flags.definition import InvalidDefinition
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.http.secrets import Secrets
from posthog_local.ingest.clock import parse_time_us
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.warehouse import CopyFailed
from posthog_local.store.store import Store
from posthog_local.store.views import View

T = TypeVar("T")
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_MAX_BODY_BYTES = 1024 * 1024
_PAGE_SIZE = 100
_MAX_PAGE_SIZE = 1000
_NO_KEY = "Send the secret key or the personal API key of this server as a Bearer token."


class ApiError(Exception):
    """The request is answered with `status` and PostHog's shape of an error."""

    def __init__(self, status: int, code: str, detail: str, attr: str | None = None) -> None:
        self.status, self.code, self.detail, self.attr = status, code, detail, attr
        super().__init__(f"{status}: {detail}")


def not_found() -> ApiError:
    """The error for what is not there."""
    return ApiError(404, "not_found", "Not found.")


class Door:
    """Makes endpoints that only a key opens, over a store that answers on threads of its own."""

    def __init__(self, store: Store, secrets: Secrets) -> None:
        self._store = store
        self._secrets = secrets

    def of_project(self, path: str, **handlers: Handler) -> Endpoint:
        """An endpoint below the project; a handler is named after its method."""
        return self.endpoint(
            (f"/api/projects/{{project}}{path}", f"/api/environments/{{project}}{path}"), handlers
        )

    def endpoint(self, paths: tuple[str, ...], handlers: Mapping[str, Handler]) -> Endpoint:
        """An endpoint at these paths."""

        async def guarded(request: Request) -> Response:
            if not self._secrets.open(request.header("authorization")):
                return _error(ApiError(401, "authentication_failed", _NO_KEY))
            try:
                return await handlers[request.method](request)
            except ApiError as error:
                return _error(error)
            except CopyFailed as error:  # the question is right, and asked later it is answered
                return _error(ApiError(503, "service_unavailable", str(error)))
            except (ValueError, InvalidDefinition, QueryRefused) as error:
                return _error(ApiError(400, "invalid_input", str(error)))

        return Endpoint(
            paths=paths,
            handler=guarded,
            max_body_bytes=_MAX_BODY_BYTES,
            methods=frozenset(handlers),
        )

    def asked(self, question: Callable[[View, Request], Response]) -> Handler:
        """A handler that only reads."""

        async def handler(request: Request) -> Response:
            return await self._store.read(lambda view: question(view, request))

        return handler


def body_of(request: Request, shape: type[T]) -> T:
    """The body as `shape`; `ApiError` 400 names the field that is wrong."""
    try:
        return msgspec.json.decode(request.body or b"{}", type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "invalid_input", f"the body does not fit: {error}") from error


def bounds(request: Request) -> tuple[int, int]:
    """Limit and offset, as far as they are given."""
    limit = _number(request, "limit", _PAGE_SIZE)
    return min(limit, _MAX_PAGE_SIZE), _number(request, "offset", 0)


def page(request: Request, results: Sequence[Any], count: int | None = None) -> Response:
    """One page of a list. Without a `count` nothing is known beyond what is shown."""
    limit, offset = bounds(request)
    total = len(results) if count is None else count
    last = offset + len(results) >= total
    return json_response(
        {
            "count": total,
            "next": None if last else _address(request, limit, offset + limit),
            "previous": None if offset == 0 else _address(request, limit, max(0, offset - limit)),
            "results": results,
        }
    )


def time_us(request: Request, name: str) -> int | None:
    """A parameter that holds a time."""
    text = request.query.get(name)
    if text is None:
        return None
    found = parse_time_us(text)
    if found is None:
        raise ValueError(f"{name} must be an ISO 8601 time")
    return found


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 7):
        raise ValueError(f"{name} must be a whole number")
    return int(text)


def _address(request: Request, limit: int, offset: int) -> str:
    query = urlencode({**request.query, "limit": limit, "offset": offset})
    return f"http://{request.header('host')}{request.path}?{query}"


def _error(error: ApiError) -> Response:
    kind = "authentication_error" if error.status == 401 else "validation_error"
    if error.status == 404:
        kind = "invalid_request"
    elif error.status >= 500:
        kind = "server_error"
    body = {"type": kind, "code": error.code, "detail": error.detail, "attr": error.attr}
    return Response(status=error.status, body=msgspec.json.encode(body))
