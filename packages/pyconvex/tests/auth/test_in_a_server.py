"""Providers of a deployed app: tokens over HTTP and WebSocket, and what follows from them."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
import websockets
from issuing import Issuer, public_jwk, rsa_key, serving

from pyconvex.auth.verifier import LEEWAY_S
from pyconvex.runtime.calls import EnvChange
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.settings import trust
from pyconvex.server import Server, Settings

DEADLINE_S = 60.0

APP = {
    "convex_config.py": """
from pyconvex import define_app, v
app = define_app(env={"DOMAIN": v.optional(v.string()), "OTHER": v.optional(v.string())})
""",
    "auth_config.py": """
from pyconvex import OidcProvider
from .convex_config import app
providers = [
    OidcProvider(domain=app.env.OTHER, application_id="convex"),
    OidcProvider(domain=app.env.DOMAIN, application_id="convex"),
]
""",
    "who.py": """
from typing import Any
from pyconvex import *

@query
async def email(ctx: QueryCtx) -> Any:
    identity = await ctx.auth.get_user_identity()
    return identity and identity["email"]

@query
async def person(ctx: QueryCtx) -> str | None:
    return ctx.user_id

@mutation
async def note(ctx: MutationCtx) -> str | None:
    return ctx.user_id

@action
async def through(ctx: ActionCtx) -> list[str | None]:
    return [ctx.user_id, await ctx.run_query(person)]
""",
}


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def run(
    tmp_path: Path, scenario: Callable[[Server], Awaitable[None]], files: dict[str, str] = APP
) -> None:
    write(tmp_path / "convex", files)

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S):
            async with Server(Settings(data=tmp_path / "data", port=0, isolates=0)) as server:
                await server.deploy(tmp_path / "convex")
                await scenario(server)

    asyncio.run(main())


async def ask(server: Server, path: str, token: str | None = None, kind: str = "query") -> Any:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    body = {"path": path, "args": {}}
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{server.url}/api/{kind}", json=body, headers=headers)
    return answer.json()


async def set_variable(server: Server, name: str, value: str | None) -> None:
    await server._environment.apply([EnvChange(name, value)])


def test_a_token_over_http(tmp_path: Path, issuer: Issuer) -> None:
    async def scenario(server: Server) -> None:
        token = issuer.token()
        assert "set OTHER" in server.auth_advice()[0]
        refused = await ask(server, "who:email", token)
        assert refused["code"] == "NoAuthProvider", "no variable that names a provider is set"
        assert "off while DOMAIN is not set" in refused["message"]
        await set_variable(server, "DOMAIN", issuer.url)
        assert (await ask(server, "who:email", token))["value"] == "ann@example.com"
        assert (await ask(server, "who:note", token, "mutation"))["value"] == "user_2abc"
        through = await ask(server, "who:through", token, "action")
        assert through["value"] == ["user_2abc", "user_2abc"]
        assert (await ask(server, "who:email"))["value"] is None
        expired = await ask(server, "who:email", issuer.token(exp=int(time.time()) - 60))
        assert expired == {
            "code": "Unauthenticated",
            "message": "Could not verify token claim: the token has expired.",
        }
        await set_variable(server, "DOMAIN", None)
        assert (await ask(server, "who:email", token))["code"] == "NoAuthProvider"

    run(tmp_path, scenario)


class Socket:
    """A client of the sync protocol, reduced to what identities need."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.identity = 0

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self, *types: str) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self.connection.recv())
            if message["type"] in types:
                return message

    async def authenticate(self, token: str | None) -> None:
        kind = {"tokenType": "None"} if token is None else {"tokenType": "User", "value": token}
        await self.say(type="Authenticate", baseVersion=self.identity, **kind)
        self.identity += 1

    async def sees(self, value: Any) -> None:
        """Wait until the one query has this result."""
        while True:
            for modification in (await self.hear("Transition"))["modifications"]:
                if modification.get("value", ...) == value:
                    return


async def opened(connection: Any) -> Socket:
    socket = Socket(connection)
    await socket.say(
        type="Connect", sessionId="1a60f9a5-49d9-4a9f-9c6f-37b0d4f2d5b1", connectionCount=0
    )
    add = {"type": "Add", "queryId": 0, "udfPath": "who:person", "args": [{}]}
    await socket.say(type="ModifyQuerySet", baseVersion=0, newVersion=1, modifications=[add])
    await socket.sees(None)
    return socket


def connect(server: Server) -> Any:
    return websockets.connect(server.url.replace("http", "ws") + "/api/sync")


def test_a_change_of_identity_runs_queries_again(tmp_path: Path, issuer: Issuer) -> None:
    async def scenario(server: Server) -> None:
        await set_variable(server, "DOMAIN", issuer.url)
        async with connect(server) as connection:
            socket = await opened(connection)
            await socket.authenticate(issuer.token())
            await socket.sees("user_2abc")
            # A fresh token of the same person: the version moves on, and no result is news.
            await socket.authenticate(issuer.token(iat=int(time.time()) - 1))
            transition = await socket.hear("Transition")
            assert transition["endVersion"]["identity"] == 2
            assert transition["modifications"] == []
            await socket.authenticate(issuer.token(sub="user_bo"))
            await socket.sees("user_bo")
            await socket.authenticate(None)
            await socket.sees(None)

    run(tmp_path, scenario)


def test_a_token_that_is_refused_or_expires_on_a_socket(tmp_path: Path, issuer: Issuer) -> None:
    async def scenario(server: Server) -> None:
        await set_variable(server, "DOMAIN", issuer.url)
        async with connect(server) as connection:
            socket = await opened(connection)
            await socket.authenticate(issuer.token(aud="another"))
            error = await socket.hear("AuthError")
            assert error["authUpdateAttempted"] is True
            assert error["baseVersion"] == 0
            assert "No auth provider found" in error["error"]
            await end_of(connection)
        async with connect(server) as connection:
            socket = await opened(connection)
            # Good for as long as clocks may be apart, which is little more than a second here.
            await socket.authenticate(issuer.token(exp=int(time.time() - LEEWAY_S) + 2))
            await socket.sees("user_2abc")
            mutation = {"type": "Mutation", "udfPath": "who:note", "args": [{}]}
            for number in itertools.count():
                await socket.say(**mutation, requestId=number)
                answer = await socket.hear("MutationResponse", "AuthError")
                if answer["type"] == "AuthError":
                    break
                assert answer["result"] == "user_2abc"
            assert answer["authUpdateAttempted"] is False
            assert answer["baseVersion"] == 1

    run(tmp_path, scenario)


async def end_of(connection: Any) -> Any:
    """How it ends; a busy server may say in between that it is alive."""
    try:
        while True:
            await connection.recv()
    except websockets.ConnectionClosed as closed:
        return closed


def test_an_issuer_that_is_down_asks_the_client_to_come_again(tmp_path: Path) -> None:
    with serving() as issuer:
        token = issuer.token()

    async def scenario(server: Server) -> None:
        await set_variable(server, "DOMAIN", issuer.url)
        assert (await ask(server, "who:email", token))["code"] == "AuthProviderDiscoveryFailed"
        async with connect(server) as connection:
            socket = await opened(connection)
            await socket.authenticate(token)
            assert (await end_of(connection)).rcvd.code == 1013

    run(tmp_path, scenario)


def test_rotated_keys_count_at_once(tmp_path: Path, issuer: Issuer) -> None:
    async def scenario(server: Server) -> None:
        await set_variable(server, "DOMAIN", issuer.url)
        issuer.keys = [public_jwk(rsa_key("two"), "two")]
        token = issuer.token(key=rsa_key("two"), kid="two")
        assert (await ask(server, "who:person", token))["value"] == "user_2abc"
        forged = await ask(server, "who:person", issuer.token())
        assert forged["code"] == "Unauthenticated"

    run(tmp_path, scenario)


def test_a_deploy_changes_whom_the_app_trusts(tmp_path: Path, issuer: Issuer) -> None:
    async def scenario(server: Server) -> None:
        token = issuer.token()
        assert (await ask(server, "who:person", token))["code"] == "NoAuthProvider"
        literal = f"""
from pyconvex import OidcProvider
providers = [OidcProvider(domain="{issuer.url}", application_id="convex")]
"""
        write(tmp_path / "convex", {"auth_config.py": literal})
        await server.deploy(tmp_path / "convex")
        assert (await ask(server, "who:person", token))["value"] == "user_2abc"
        (tmp_path / "convex" / "auth_config.py").unlink()
        await server.deploy(tmp_path / "convex")
        assert (await ask(server, "who:person", token))["code"] == "NoAuthProvider"

    run(tmp_path, scenario)


def test_the_app_says_who_is_who(tmp_path: Path, issuer: Issuer) -> None:
    files = {
        "convex_config.py": """
from pyconvex import define_app
app = define_app(user_id=lambda identity: identity["email"])
""",
        "auth_config.py": f"""
from pyconvex import OidcProvider
providers = [OidcProvider(domain="{issuer.url}", application_id="convex")]
""",
        "who.py": APP["who.py"],
    }

    async def scenario(server: Server) -> None:
        token = issuer.token()
        assert (await ask(server, "who:person", token))["value"] == "ann@example.com"
        through = await ask(server, "who:through", token, "action")
        assert through["value"] == ["ann@example.com", "ann@example.com"]
        assert (await ask(server, "who:person"))["value"] is None

    run(tmp_path, scenario, files)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("x = 1", "must define `providers`"),
        ("providers = [1]", "neither an OidcProvider nor a CustomJwtProvider"),
        ("providers = [OidcProvider(domain='http://x.example', application_id='a')]", "https://"),
        ("providers = [OidcProvider(domain='', application_id='a')]", "must be text or a variable"),
        (
            "providers = [CustomJwtProvider(issuer='i', jwks='https://k', algorithm='HS256')]",
            "'RS256' or 'ES256'",
        ),
        (
            "from pyconvex.functions import EnvRef\n"
            "providers = [OidcProvider(domain=EnvRef('NOPE'), application_id='a')]",
            "does not declare",
        ),
    ],
)
def test_a_mistake_in_auth_config_is_found_at_deploy(tmp_path: Path, config: str, why: str) -> None:
    write(tmp_path / "convex", {"auth_config.py": f"from pyconvex import *\n{config}\n"})

    async def main() -> None:
        async with Server(Settings(data=tmp_path / "data", port=0, isolates=0)) as server:
            with pytest.raises(AppLoadError, match=why):
                await server.deploy(tmp_path / "convex")

    asyncio.run(main())


def test_a_deployment_that_trusts_itself_gets_a_key_once(tmp_path: Path) -> None:
    files = {
        "auth_config.py": """
from pyconvex import OidcProvider
providers = [OidcProvider.this_deployment()]
""",
        "who.py": APP["who.py"],
    }

    async def scenario(server: Server) -> None:
        before = await server._environment.list()
        assert set(before) == {trust.PRIVATE_KEY, trust.JWKS}
        assert "BEGIN PRIVATE KEY" in before[trust.PRIVATE_KEY]
        assert '"d"' not in before[trust.JWKS]
        assert server.auth_advice() == []
        await set_variable(server, trust.JWKS, None)
        assert "JWKS is not set" in server.auth_advice()[0]
        await set_variable(server, trust.JWKS, before[trust.JWKS])
        (tmp_path / "convex" / "who.py").write_text(APP["who.py"] + "\n")
        await server.deploy(tmp_path / "convex")
        assert await server._environment.list() == before

    run(tmp_path, scenario, files)


def test_others_can_verify_what_this_deployment_signs(tmp_path: Path) -> None:
    """Another deployment trusts this one as it trusts any issuer: by discovery, over HTTP."""
    files = {
        "auth.py": "from pyconvex.accounts import password_auth\nauth = password_auth()\n",
        "auth_config.py": """
from pyconvex import OidcProvider
providers = [OidcProvider.this_deployment()]
""",
    }

    async def scenario(server: Server) -> None:
        form = {"email": "ann@example.com", "password": "correct horse", "flow": "signUp"}
        args = {"provider": "password", "params": form}
        async with httpx2.AsyncClient() as client:
            body = {"path": "auth:signIn", "args": args}
            answer = (await client.post(f"{server.url}/api/action", json=body)).json()
            found = await client.get(f"{server.site_url}/.well-known/openid-configuration")
            assert found.json()["issuer"] == server.site_url
            below = await client.get(f"{server.url}/http/.well-known/jwks.json")
            assert below.json() == (await client.get(found.json()["jwks_uri"])).json()
        token = answer["value"]["tokens"]["token"]
        assert (await ask(server, "auth:isAuthenticated", token))["value"] is True
        other = Settings(data=tmp_path / "other", port=0, isolates=0)
        config = f"""
from pyconvex import OidcProvider
providers = [OidcProvider(domain="{server.site_url}", application_id="convex")]
"""
        write(tmp_path / "other_app", {"auth_config.py": config, "who.py": APP["who.py"]})
        async with Server(other) as second:
            await second.deploy(tmp_path / "other_app")
            person = (await ask(second, "who:person", token))["value"]
        assert "|" in person, "to whom the subject is only a subject"

    run(tmp_path, scenario, files)


def test_a_deployment_that_issues_nothing_publishes_nothing(tmp_path: Path) -> None:
    async def scenario(server: Server) -> None:
        async with httpx2.AsyncClient() as client:
            for name in ("openid-configuration", "jwks.json"):
                answer = await client.get(f"{server.site_url}/.well-known/{name}")
                assert answer.status_code == 404

    run(tmp_path, scenario)


def test_an_http_action_sees_who_calls(tmp_path: Path, issuer: Issuer) -> None:
    files = {
        **APP,
        "http.py": """
from pyconvex import *
http = http_router()

@http_action
async def who(ctx: ActionCtx, request: Request) -> Response:
    identity = await ctx.auth.get_user_identity()
    return Response(str(identity and identity["email"]))

http.route(path="/who", method="GET", handler=who)
""",
    }

    async def scenario(server: Server) -> None:
        await set_variable(server, "DOMAIN", issuer.url)

        async def get(token: str | None) -> httpx2.Response:
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            async with httpx2.AsyncClient() as client:
                return await client.get(f"{server.site_url}/who", headers=headers)

        assert (await get(issuer.token())).text == "ann@example.com"
        assert (await get(None)).text == "None"
        refused = await get(issuer.token(aud="another"))
        assert refused.status_code == 500
        assert "No auth provider found" in refused.text

    run(tmp_path, scenario, files)


def test_behind_a_proxy_tokens_name_the_address_that_everybody_sees(tmp_path: Path) -> None:
    write(
        tmp_path / "convex",
        {
            "auth.py": "from pyconvex.accounts import password_auth\nauth = password_auth()\n",
            "auth_config.py": """
from pyconvex import OidcProvider
providers = [OidcProvider.this_deployment()]
""",
            "who.py": APP["who.py"]
            + """
@query
async def addresses(ctx: QueryCtx) -> list[str]:
    return [ctx.env["CONVEX_CLOUD_URL"], ctx.env["CONVEX_SITE_URL"]]
""",
        },
    )
    settings = Settings(
        data=tmp_path / "data",
        port=0,
        isolates=0,
        cloud_origin="https://api.shop.example",
        site_origin="https://site.shop.example",
    )

    async def main() -> None:
        async with Server(settings) as server:
            await server.deploy(tmp_path / "convex")
            form = {"email": "ann@example.com", "password": "correct horse", "flow": "signUp"}
            args = {"provider": "password", "params": form}
            async with httpx2.AsyncClient() as client:
                body = {"path": "auth:signIn", "args": args}
                answer = (await client.post(f"{server.url}/api/action", json=body)).json()
                found = await client.get(f"{server.site_url}/.well-known/openid-configuration")
            token = answer["value"]["tokens"]["token"]
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
            assert issuer == found.json()["issuer"] == "https://site.shop.example"
            assert (await ask(server, "auth:isAuthenticated", token))["value"] is True
            assert (await ask(server, "who:addresses"))["value"] == [
                "https://api.shop.example",
                "https://site.shop.example",
            ]

    asyncio.run(main())


def test_sessions_outlive_the_server(tmp_path: Path) -> None:
    write(
        tmp_path / "convex",
        {
            "auth.py": "from pyconvex.accounts import password_auth\nauth = password_auth()\n",
            "auth_config.py": """
from pyconvex import OidcProvider
providers = [OidcProvider.this_deployment()]
""",
        },
    )
    form = {"email": "ann@example.com", "password": "correct horse", "flow": "signUp"}
    args: dict[str, Any] = {"provider": "password", "params": form}

    async def main() -> None:
        nonlocal args
        for _ in range(3):
            async with Server(Settings(data=tmp_path / "data", port=0, isolates=0)) as server:
                if await server.redeploy() is None:
                    await server.deploy(tmp_path / "convex")
                async with httpx2.AsyncClient() as client:
                    body = {"path": "auth:signIn", "args": args}
                    answer = (await client.post(f"{server.url}/api/action", json=body)).json()
                tokens = answer["value"]["tokens"]
                signed_in = await ask(server, "auth:isAuthenticated", tokens["token"])
                assert signed_in["value"] is True
                args = {"refreshToken": tokens["refreshToken"]}

    asyncio.run(main())
