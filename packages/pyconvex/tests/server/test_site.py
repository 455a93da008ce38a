"""HTTP actions as clients meet them: the site's port, `/http` on the API's, bodies both ways."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pyconvex.server import PortTakenError, Server, Settings

#: Far more than anything takes, for machines that are busy with something else.
DEADLINE_S = 60.0
MIB = 1024 * 1024

LIB = """
import asyncio
from pyconvex import *

@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [row["text"] for row in await ctx.db.query("notes").collect()]

@internal_mutation
async def add(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert("notes", {"text": text})

@query
async def urls(ctx: QueryCtx) -> list[str]:
    import os
    return [os.environ["CONVEX_SITE_URL"], ctx.env["CONVEX_CLOUD_URL"]]
"""
HTTP = """
import asyncio
from pyconvex import *
from . import lib

http = http_router()

@http.route(path="/notes", method="POST")
async def post_note(ctx: HttpActionCtx, request: Request) -> Response:
    note = await request.json()
    await ctx.run_mutation(lib.add, text=note["text"])
    return Response.json(await ctx.run_query(lib.texts), status=201)

@http.route(path="/notes", method="GET")
async def get_notes(ctx: HttpActionCtx, request: Request) -> Response:
    return Response("\\n".join(await ctx.run_query(lib.texts)), headers={
        "Set-Cookie": ["a=1", "b=2"], "X-Query": request.query.get("q", ""), "Connection": "close"})

@http.route(path="/asked", method="GET")
@http.route(path_prefix="/asked/", method="GET")
@http.route(path_prefix="/asked/", method="PUT")
async def asked(ctx: HttpActionCtx, request: Request) -> Response:
    return Response.json({"method": request.method, "url": request.url, "path": request.path,
        "agent": request.headers["User-Agent"], "body": await request.text(),
        "name": ctx.function_name})

@http.route(path="/echo", method="POST")
async def echo(ctx: HttpActionCtx, request: Request) -> Response:
    return Response(request.stream(), headers={"content-type": "application/octet-stream"})

@http.route(path="/size", method="POST")
async def size(ctx: HttpActionCtx, request: Request) -> Response:
    return Response(str(len(await request.body())))

@http.route(path="/bytes", method="GET")
async def give(ctx: HttpActionCtx, request: Request) -> Response:
    count, piece = int(request.query["n"]), int(request.query.get("piece", "0"))
    async def pieces():
        for _ in range(count // piece):
            yield b"x" * piece
    return Response(pieces() if piece else b"x" * count)

@http.route(path="/fails", method="GET")
async def fails(ctx: HttpActionCtx, request: Request) -> Response:
    raise KeyError("the cupboard")

@http.route(path="/refuses", method="GET")
async def refuses(ctx: HttpActionCtx, request: Request) -> Response:
    raise ConvexError({"code": "NO"})

@http.route(path="/fails-late", method="GET")
async def fails_late(ctx: HttpActionCtx, request: Request) -> Response:
    async def pieces():
        yield "some"
        raise KeyError("the cupboard")
    return Response(pieces())

@http.route(path="/wrong", method="GET")
async def wrong(ctx: HttpActionCtx, request: Request) -> Response:
    return {"ok": True}

@http.route(path="/who", method="GET")
async def who(ctx: HttpActionCtx, request: Request) -> Response:
    if request.query.get("id"):
        return Response.json(ctx.user_id)
    return Response.json(await ctx.auth.get_user_identity())

@http.route(path="/empty", method="DELETE")
async def empty(ctx: HttpActionCtx, request: Request) -> Response:
    return Response(status=204)

@http.route(path="/ticks", method="GET")
async def ticks(ctx: HttpActionCtx, request: Request) -> Response:
    async def pieces():
        try:
            while True:
                yield "tick\\n"
                await asyncio.sleep(0.01)
        finally:
            await ctx.run_mutation(lib.add, text="closed")
    return Response(pieces())

@http.route(path="/waits", method="GET")
async def waits(ctx: HttpActionCtx, request: Request) -> Response:
    async def pieces():
        yield "begun"
        try:
            await asyncio.Event().wait()
        finally:
            await ctx.run_mutation(lib.add, text="left")
    return Response(pieces())
"""


@pytest.fixture(params=[1, 0], ids=["isolates", "in process"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Runs a scenario against a server that has deployed the app above."""
    folder = tmp_path / "convex"
    folder.mkdir()
    (folder / "lib.py").write_text(LIB)
    (folder / "http.py").write_text(HTTP)
    settings = Settings(data=tmp_path / "data", port=0, isolates=request.param)

    def run(scenario: Callable[[Server, httpx2.AsyncClient], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with asyncio.timeout(DEADLINE_S), Server(settings) as server:
                await server.deploy(folder)
                async with httpx2.AsyncClient(base_url=server.site_url, timeout=None) as client:
                    await scenario(server, client)

        asyncio.run(main())

    return run


Site = Callable[..., None]


def test_an_action_reads_a_request_and_answers_it(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        answer = await client.post("/notes", json={"text": "ö"})
        assert (answer.status_code, answer.json()) == (201, ["ö"])
        assert answer.headers["content-type"] == "application/json"
        answer = await client.get("/notes?q=1")
        assert (answer.status_code, answer.text) == (200, "ö")
        assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert answer.headers["x-query"] == "1"
        assert "connection" not in answer.headers, "the connection is the server's"
        assert "access-control-allow-origin" not in answer.headers
        answer = await client.delete("/empty")
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers

    site(scenario)


def test_it_is_told_what_the_client_asked(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        origin = server.site_url
        told = (await client.get("/asked/a%20b//c?x=%26&y", headers={"user-agent": "me"})).json()
        assert told == {
            "method": "GET",
            "url": f"{origin}/asked/a%20b//c?x=%26&y",
            "path": "/asked/a%20b//c",
            "agent": "me",
            "body": "",
            "name": "GET /asked/*",
        }
        told = (await client.put("/asked/", content="hello")).json()
        assert (told["method"], told["body"]) == ("PUT", "hello")
        proxied = {"x-forwarded-proto": "https", "host": "shop.example"}
        told = (await client.get("/asked", headers=proxied)).json()
        assert told["url"] == "https://shop.example/asked"
        forwarded = {"forwarded": 'for=1.2.3.4;proto="https", proto=http', "host": "a.example"}
        told = (await client.get("/asked", headers=forwarded)).json()
        assert told["url"] == "https://a.example/asked"

    site(scenario)


def test_the_ports_of_api_and_site(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        told = (await client.get(f"{server.url}/http/asked/x?y=1")).json()
        assert told["url"] == f"{server.url}/asked/x?y=1"
        assert (await client.get(f"{server.url}/http")).text == "No HttpAction routed for /"
        assert (await client.get(f"{server.url}/httpx")).json()["code"] == "NotFound"
        assert (await client.get("/version")).status_code == 404
        answer = await client.post(f"{server.url}/api/query", json={"path": "lib:urls", "args": {}})
        assert answer.json()["value"] == [server.site_url, server.url]

    site(scenario)


def test_what_is_not_routed(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        for method, path in [("GET", "/nope"), ("POST", "/asked"), ("GET", "/notes/")]:
            answer = await client.request(method, path)
            assert answer.status_code == 404
            assert answer.text == f"No HttpAction routed for {path}"
        answer = await client.request("TRACE", "/notes")
        assert answer.status_code == 404

    site(scenario)


def test_a_head_request_is_answered_by_get(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        answer = await client.head("/bytes?n=5")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == "5"
        answer = await client.head("/bytes?n=10&piece=5")
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await client.head("/echo")).status_code == 404

    site(scenario)


def test_an_uncaught_error_is_told(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        answer = await client.get("/fails")
        told = answer.json()
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/json"
        assert told["code"].startswith("[Request ID: ")
        assert told["code"].endswith("] Server Error: Uncaught KeyError: 'the cupboard'")
        assert "http.py" in told["trace"]
        assert "data" not in told
        answer = await client.get("/refuses")
        assert (answer.status_code, answer.json()["data"]) == (500, {"code": "NO"})
        told = (await client.get("/wrong")).json()
        assert "'GET /wrong' must return a Response, not {'ok': True}" in told["code"]

    site(scenario)


def test_an_error_in_the_middle_cuts_the_response_off(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        async with client.stream("GET", "/fails-late") as answer:
            assert answer.status_code == 200
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"some"
            with pytest.raises(httpx2.RemoteProtocolError):
                await anext(pieces)
        assert "GET /fails-late failed in the middle of its response" in caplog.text
        assert (await client.get("/notes")).status_code == 200

    site(scenario)


def test_a_credential_counts_only_where_it_is_asked_for(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        assert (await client.get("/who")).json() is None
        for wrong in ["Bearer not.a.token", "Basic dXNlcjpwYXNz", "secret-of-a-webhook", "x"]:
            headers = {"authorization": wrong}
            assert (await client.get("/notes", headers=headers)).status_code == 200
            assert (await client.get("/who?id=1", headers=headers)).json() is None
            answer = await client.get("/who", headers=headers)
            assert answer.status_code == 500
            assert "CredentialRefused" in answer.json()["code"]
        acting = json.dumps({"issuer": "i", "subject": "ada"}).encode()
        key = f"Convex {server.admin_key}:{base64.b64encode(acting).decode()}"
        answer = await client.get("/who?id=1", headers={"authorization": key})
        assert answer.json() == "ada"

    site(scenario)


# Bodies


def test_bodies_up_to_the_limit_pass_and_larger_ones_do_not(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        whole = bytes(20 * MIB)
        assert (await client.post("/size", content=whole)).text == str(20 * MIB)
        answer = await client.post("/size", content=whole + b"x")
        assert (answer.status_code, answer.json()["code"]) == (413, "RequestTooLarge")

        async def unannounced() -> AsyncIterator[bytes]:
            for _ in range(21):
                yield bytes(MIB)

        answer = await client.post("/size", content=unannounced())
        assert (answer.status_code, answer.json()["code"]) == (413, "RequestTooLarge")
        answer = await client.get(f"/bytes?n={20 * MIB}")
        assert len(answer.content) == 20 * MIB
        answer = await client.get(f"/bytes?n={20 * MIB}&piece={MIB}")
        assert len(answer.content) == 20 * MIB
        answer = await client.get(f"/bytes?n={20 * MIB + 1}")
        assert answer.status_code == 500
        assert "HTTP actions support responses up to 20 MiB" in answer.json()["code"]
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(f"/bytes?n={21 * MIB}&piece={MIB}")

    site(scenario)


def test_bodies_stream_both_ways_at_once(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        # By hand: the client library sends all of a body before it reads.
        reader, writer = await asyncio.open_connection("127.0.0.1", port(server))
        writer.write(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        assert await reader.readuntil(b"first\r\n")
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"second\r\n0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    site(scenario)


def test_a_client_that_leaves_between_two_pieces_ends_the_stream(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port(server))
        writer.write(b"GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"tick\n")
        writer.close()
        await writer.wait_closed()
        await until_noted(client, "closed")

    site(scenario)


def test_a_client_that_leaves_while_nothing_comes_ends_the_stream(site: Site) -> None:
    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        async with client.stream("GET", "/waits") as answer:
            async for piece in answer.aiter_text():
                assert piece == "begun"
                break
        await until_noted(client, "left")

    site(scenario)


async def until_noted(client: httpx2.AsyncClient, text: str) -> None:
    while text not in (await client.get("/notes")).text:
        await asyncio.sleep(0.01)


def port(server: Server) -> int:
    return int(server.site_url.rpartition(":")[2])


def test_a_server_that_stops_ends_streams(tmp_path: Path) -> None:
    folder = tmp_path / "convex"
    folder.mkdir()
    (folder / "lib.py").write_text(LIB)
    (folder / "http.py").write_text(HTTP)

    async def main() -> None:
        server = Server(Settings(data=tmp_path / "data", port=0, isolates=1))
        async with asyncio.timeout(DEADLINE_S):
            await server.start()
            await server.deploy(folder)
            async with (
                httpx2.AsyncClient(base_url=server.site_url, timeout=None) as client,
                client.stream("GET", "/ticks") as answer,
            ):
                pieces = answer.aiter_text()
                assert "tick" in await anext(pieces)
                stopping = asyncio.create_task(server.stop())
                async for _ in pieces:  # to its end, which a connection that is cut doesn't have
                    pass
                await stopping

    asyncio.run(main())


# Nonsense


def test_broken_requests_break_nothing(site: Site) -> None:
    request = (
        b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    )

    async def scenario(server: Server, client: httpx2.AsyncClient) -> None:
        source = random.Random(0)
        for _ in range(40):
            broken = bytearray(request[: source.randrange(1, len(request) + 1)])
            for _ in range(source.randrange(4)):
                broken[source.randrange(len(broken))] = source.randrange(256)
            reader, writer = await asyncio.open_connection("127.0.0.1", port(server))
            writer.write(broken)
            writer.write_eof()
            answer = await reader.read()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 "), (broken, answer)
            writer.close()
        assert (await client.post("/size", content=b"hello")).text == "5"

    site(scenario)


# Deploys


def test_a_deploy_that_removes_routes_counts_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "convex"
    folder.mkdir()
    (folder / "lib.py").write_text(LIB)

    async def main() -> None:
        async with (
            asyncio.timeout(DEADLINE_S),
            Server(Settings(data=tmp_path / "data", port=0, isolates=1)) as server,
            httpx2.AsyncClient(base_url=server.site_url) as client,
        ):
            not_enabled = "This Convex deployment does not have HTTP actions enabled."
            assert (await client.get("/notes")).text == not_enabled
            await server.deploy(folder)
            assert (await client.get("/notes")).text == not_enabled
            (folder / "http.py").write_text(HTTP)
            await server.deploy(folder)
            assert (await client.get("/notes")).status_code == 200
            (folder / "http.py").write_text("from pyconvex import *\nhttp = http_router()\n")
            await server.deploy(folder)
            assert (await client.get("/notes")).text == "No HttpAction routed for /notes"

    asyncio.run(main())


def test_the_sites_port_is_the_next_one_unless_named(tmp_path: Path) -> None:
    assert Settings(port=3210).site_port_or_next == 3211
    assert Settings(port=0).site_port_or_next == 0
    assert Settings(port=3210, site_port=80).site_port_or_next == 80

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            settings = Settings(data=tmp_path, port=0, site_port=taken.getsockname()[1])
            with pytest.raises(PortTakenError, match="--site-port 0 for a free one"):
                await Server(settings).start()

    asyncio.run(main())
