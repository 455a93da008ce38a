"""Routes as an author defines them, and each mistake with its text."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyconvex import HttpActionCtx, Request, Response, http_action, http_router
from pyconvex.functions import DefinitionError, HttpAction


async def plain(ctx: HttpActionCtx, request: Request) -> Response:
    """Answers."""
    return Response()


answer = http_action(plain)


def names(router: Any) -> list[str]:
    return [route.name for route in router.routes]


def test_routes_are_given_or_decorated() -> None:
    http = http_router()
    http.route(path="/a", method="GET", handler=answer)
    http.route(path_prefix="/b/", method="POST", handler=answer)
    decorated = http.route(path="/c", method="PUT")(plain)
    assert isinstance(decorated, HttpAction)
    assert http.route(path="/d", method="PATCH")(decorated) is decorated
    assert names(http) == ["GET /a", "POST /b/*", "PUT /c", "PATCH /d"]
    assert (decorated.__name__, decorated.__doc__) == ("plain", "Answers.")


def test_the_same_path_may_have_other_methods_and_prefixes() -> None:
    http = http_router()
    http.route(path="/a/", method="GET", handler=answer)
    http.route(path="/a/", method="DELETE", handler=answer)
    http.route(path_prefix="/a/", method="GET", handler=answer)
    assert names(http) == ["GET /a/", "DELETE /a/", "GET /a/*"]


def test_paths_are_kept_as_clients_send_them() -> None:
    http = http_router()
    http.route(path="/über uns", method="GET", handler=answer)
    http.route(path="/a%20b", method="GET", handler=answer)
    assert [route.path for route in http.routes] == ["/%C3%BCber%20uns", "/a%20b"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"path": "a"}, "'a' must begin with '/'"),
        ({"path_prefix": "a/"}, "'a/' must begin with '/'"),
        ({"path_prefix": "/a"}, "must end with '/': it is '/a/'"),
        ({"path": "/.files"}, "is reserved"),
        ({"path": "/.files/x"}, "is reserved"),
        ({"path_prefix": "/.files/"}, "is reserved"),
        ({"path": "/a", "path_prefix": "/a/"}, "either a path or a path_prefix"),
        ({}, "needs a path or a path_prefix"),
        ({"path": "/a?b=1"}, "request.query"),
        ({"path": "/a/*"}, "path_prefix"),
        ({"path": "/a", "method": "HEAD"}, "the route for GET answers it"),
        ({"path": "/a", "method": "get"}, "'get' is no method of a route"),
        ({"path": "/a", "method": "TRACE"}, "is one of GET, POST, PUT, DELETE, OPTIONS, PATCH"),
    ],
)
def test_a_route_that_can_not_be(options: dict[str, str], text: str) -> None:
    http: Any = http_router()
    with pytest.raises(DefinitionError) as caught:
        http.route(**{"method": "GET", **options}, handler=answer)
    assert text in str(caught.value)
    assert http.routes == []


def test_a_route_is_defined_once() -> None:
    http = http_router()
    http.route(path="/a", method="GET", handler=answer)
    with pytest.raises(DefinitionError, match="GET /a is routed twice: to 'plain' and to 'plain'"):
        http.route(path="/a", method="GET")(plain)


def test_a_handler_is_an_http_action() -> None:
    http: Any = http_router()
    with pytest.raises(DefinitionError, match="decorate 'plain' with @http_action"):
        http.route(path="/a", method="GET", handler=plain)

    def blocking(ctx: HttpActionCtx, request: Request) -> Response:
        return Response()

    for define in (http_action, http.route(path="/a", method="GET")):
        with pytest.raises(DefinitionError, match=r"blocking' must be `async def`.*to_thread"):
            define(blocking)
    with pytest.raises(DefinitionError, match="is an HTTP action already"):
        http_action(answer)  # type: ignore[arg-type]  # the mistake


def test_it_is_still_a_function() -> None:
    ctx: Any = None
    answered: Any = answer(ctx, Request("GET", "http://x/"))
    assert asyncio.run(answered).status == 200
