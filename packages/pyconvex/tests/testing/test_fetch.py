"""Requests to HTTP actions of an app under test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pyconvex.testing import FunctionFailed, convex_test

APP = """
import asyncio
from pyconvex import *

http = http_router()

@http.route(path="/echo", method="POST")
async def echo(ctx: HttpActionCtx, request: Request) -> Response:
    return Response(request.stream(), headers={"x-type": request.headers.get("content-type", "")})

@http.route(path="/size", method="PUT")
async def size(ctx: HttpActionCtx, request: Request) -> Response:
    return Response(str(len(await request.body())))

@http.route(path="/who", method="GET")
async def who(ctx: HttpActionCtx, request: Request) -> Response:
    return Response.json([ctx.user_id, request.url, ctx.env["CONVEX_SITE_URL"]])

@http.route(path="/refuses", method="GET")
async def refuses(ctx: HttpActionCtx, request: Request) -> Response:
    if request.query.get("who"):
        await ctx.auth.get_user_identity()
    raise ConvexError({"code": "NO"})
"""


def test_what_comes_back() -> None:
    async def main() -> None:
        async with convex_test({"http.py": APP}) as t:
            answer = await t.fetch("/echo", method="POST", json={"a": 1})
            assert (answer.status, answer.json()) == (200, {"a": 1})
            assert answer.headers["x-type"] == "application/json"
            answer = await t.fetch(
                "/echo", method="POST", body="ö", headers={"Content-Type": "x/y"}
            )
            assert (answer.text, answer.body) == ("ö", "ö".encode())
            assert answer.headers["x-type"] == "x/y"

            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(3):
                    yield b"ab"

            assert (await t.fetch("/echo", method="POST", body=pieces())).text == "ababab"
            answer = await t.fetch("/nope?x")
            assert (answer.status, answer.text) == (404, "No HttpAction routed for /nope")
            answer = await t.fetch("/who", method="HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert repr(answer) == "<Fetched 200: ''>"

    asyncio.run(main())


def test_who_asks() -> None:
    async def main() -> None:
        async with convex_test({"http.py": APP}) as t:
            site = "https://some.convex.site"
            assert (await t.fetch("/who?a=1")).json() == [None, f"{site}/who?a=1", site]
            ada = t.with_identity(subject="ada")
            assert (await ada.fetch("/who")).json()[0] == "ada"
            wrong = {"Authorization": "Bearer of.a.webhook"}
            assert (await ada.fetch("/who", headers=wrong)).json()[0] is None
            with pytest.raises(FunctionFailed, match="No auth provider found"):
                await t.fetch("/refuses?who=1", headers=wrong)

    asyncio.run(main())


def test_what_a_handler_raises_is_raised() -> None:
    async def main() -> None:
        async with convex_test({"http.py": APP}) as t:
            with pytest.raises(Exception, match="NO") as caught:
                await t.fetch("/refuses")
            assert caught.value.data == {"code": "NO"}  # type: ignore[attr-defined]
            with pytest.raises(FunctionFailed, match="larger than the maximum of 20 MiB"):
                await t.fetch("/size", method="PUT", body=bytes(20 * 1024 * 1024 + 1))

    asyncio.run(main())
