"""HTTP actions, and the router that says which request each of them answers.

Owns `http_action`, `http_router` and the checks of a route's definition. Never matches a request:
the server does, with what is listed here. One invariant: a router holds at most one handler for a
method and path, and for a method and prefix.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, overload
from urllib.parse import quote

from pyconvex.functions.context import HttpActionCtx
from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.request import Request
from pyconvex.functions.response import Response

#: The methods that routes can name; a HEAD request is answered by the GET route.
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
#: Paths of the host's own.
_RESERVED = "/.files"

HttpHandler: TypeAlias = Callable[[HttpActionCtx, Request], Awaitable[Response]]


class HttpAction:
    """A handler of HTTP requests; still callable as plain Python."""

    def __init__(self, handler: HttpHandler) -> None:
        if isinstance(handler, HttpAction):
            raise DefinitionError(f"{handler!r} is an HTTP action already.")
        if not inspect.iscoroutinefunction(handler):
            name = getattr(handler, "__qualname__", repr(handler))
            raise DefinitionError(
                f"HTTP action {name!r} must be `async def`: put `async` before `def`, and run what "
                "blocks with asyncio.to_thread."
            )
        self.handler = handler
        self.__name__ = handler.__name__
        self.__doc__ = handler.__doc__
        self.__module__ = handler.__module__

    def __call__(self, ctx: HttpActionCtx, request: Request) -> Awaitable[Response]:
        return self.handler(ctx, request)

    def __repr__(self) -> str:
        return f"<HTTP action {self.__name__}>"


def http_action(handler: HttpHandler) -> HttpAction:
    """Makes an `async def handler(ctx, request)` an HTTP action, to be routed in `http.py`.

    It returns a `Response`, may do what actions may, and runs once for each request.
    """
    return HttpAction(handler)


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of a router: a path, or everything below a prefix."""

    method: str
    #: A path, or with `prefix` the beginning of paths, which ends with `/`.
    path: str
    prefix: bool
    action: HttpAction

    @property
    def name(self) -> str:
        """The route's name in logs: `POST /hook`, `GET /files/*`."""
        return f"{self.method} {self.path}{'*' if self.prefix else ''}"


class HttpRouter:
    """The routes of an app or component; what `http` in `http.py` must be.

    >>> http = http_router()
    >>> @http.route(path="/hello", method="GET")
    ... async def hello(ctx: HttpActionCtx, request: Request) -> Response:
    ...     return Response("hello")
    >>> [route.name for route in http.routes]
    ['GET /hello']
    """

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    @property
    def routes(self) -> list[Route]:
        """All routes, in the order of their definition."""
        return list(self._routes.values())

    @overload
    def route(
        self, *, path: str, method: str
    ) -> Callable[[HttpHandler | HttpAction], HttpAction]: ...
    @overload
    def route(
        self, *, path_prefix: str, method: str
    ) -> Callable[[HttpHandler | HttpAction], HttpAction]: ...
    @overload
    def route(self, *, path: str, method: str, handler: HttpAction) -> None: ...
    @overload
    def route(self, *, path_prefix: str, method: str, handler: HttpAction) -> None: ...
    def route(
        self,
        *,
        path: str | None = None,
        path_prefix: str | None = None,
        method: str,
        handler: HttpAction | None = None,
    ) -> Any:
        """Answer requests of one method to `path`, or to all paths that begin with `path_prefix`.

        An exact path wins over prefixes, a longer prefix over a shorter one. Give `handler`, an
        HTTP action, or decorate one: `@http.route(path="/hook", method="POST")`. Raises
        `DefinitionError`.
        """
        target, prefix = _target(path, path_prefix)
        if method not in METHODS:
            raise DefinitionError(_wrong_method(method))
        if handler is not None:
            self._add(method, target, prefix, handler)
            return None

        def decorate(function: HttpHandler | HttpAction) -> HttpAction:
            action = function if isinstance(function, HttpAction) else HttpAction(function)
            self._add(method, target, prefix, action)
            return action

        return decorate

    def _add(self, method: str, path: str, prefix: bool, action: HttpAction) -> None:
        if not isinstance(action, HttpAction):
            raise DefinitionError(
                f"The handler of {method} {path} must be an HTTP action: decorate "
                f"{getattr(action, '__name__', action)!r} with @http_action."
            )
        route = Route(method, path, prefix, action)
        if route.name in self._routes:
            raise DefinitionError(
                f"{route.name} is routed twice: to {self._routes[route.name].action.__name__!r} "
                f"and to {action.__name__!r}. Remove one, or change its path or method."
            )
        self._routes[route.name] = route


def http_router() -> HttpRouter:
    """A router without routes: `http = http_router()` in `http.py`."""
    return HttpRouter()


def _target(path: str | None, path_prefix: str | None) -> tuple[str, bool]:
    """The path of a route, checked, and whether it is a prefix."""
    if path is not None and path_prefix is not None:
        raise DefinitionError(
            f"A route has either a path or a path_prefix; {path!r} and {path_prefix!r} were given."
        )
    target = path if path is not None else path_prefix
    if not isinstance(target, str):
        raise DefinitionError("A route needs a path or a path_prefix.")
    what = "path" if path is not None else "path_prefix"
    if not target.startswith("/"):
        raise DefinitionError(f"The {what} {target!r} must begin with '/'.")
    if path_prefix is not None and not target.endswith("/"):
        raise DefinitionError(
            f"The path_prefix {target!r} must end with '/': it is {target + '/'!r}."
        )
    if target == _RESERVED or target.startswith(_RESERVED + "/"):
        raise DefinitionError(f"The {what} {target!r} is reserved: choose one outside {_RESERVED}.")
    if any(mark in target for mark in "?#*"):
        raise DefinitionError(
            f"The {what} {target!r} holds '?', '#' or '*', which are no part of a path: read "
            "parameters from request.query, and match many paths with path_prefix."
        )
    # As clients send it: a route for /über answers /%C3%BCber.
    return quote(target, safe="/%:@!$&'()+,;=-._~"), path_prefix is not None


def _wrong_method(method: str) -> str:
    if method == "HEAD":
        return "HEAD can't be routed: the route for GET answers it, without its body."
    return f"{method!r} is no method of a route: it is one of {', '.join(METHODS)}."
