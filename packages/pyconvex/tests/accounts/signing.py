"""What the official client does at a deployment with `password_auth`, for tests on the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest

from pyconvex import ConvexError, MutationCtx
from pyconvex.runtime.settings.trust import new_signing_key
from pyconvex.testing import Caller, ConvexTest, convex_test

KEY = new_signing_key()
ENV = {"JWT_PRIVATE_KEY": KEY.private_pem, "JWKS": KEY.jwks}
AUTH_CONFIG = """
from pyconvex import OidcProvider

providers = [OidcProvider.this_deployment()]
"""
PASSWORD = "correct horse"
FORM = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}

Tokens = dict[str, str]
Scenario = Callable[[ConvexTest], Awaitable[None]]


def run(scenario: Scenario, app: dict[str, str]) -> None:
    async def main() -> None:
        async with convex_test(app, env=ENV) as t:
            await scenario(t)

    asyncio.run(main())


async def send(t: Caller, flow: str, **form: Any) -> dict[str, Any]:
    """Send the form, and get the whole answer."""
    params = {**FORM, "flow": flow, **form}
    answer: dict[str, Any] = await t.action(
        "auth:signIn", {"provider": "password", "params": params}
    )
    return answer


async def sign(t: Caller, flow: str, **form: Any) -> Tokens:
    tokens: Tokens = (await send(t, flow, **form))["tokens"]
    return tokens


async def refresh(t: Caller, tokens: Tokens) -> Tokens | None:
    answer = await t.action("auth:signIn", {"refreshToken": tokens["refreshToken"]})
    assert set(answer) == {"tokens"}
    found: Tokens | None = answer["tokens"]
    return found


async def refused(t: Caller, flow: str, **form: Any) -> str:
    """The code with which a form is refused."""
    with pytest.raises(ConvexError) as caught:
        await send(t, flow, **form)
    assert isinstance(caught.value.data, dict)
    return str(caught.value.data["code"])


async def rows(t: Caller, table: str) -> list[Any]:
    """All documents of a table."""

    async def all_rows(ctx: MutationCtx) -> Any:
        return await ctx.db.query(table).collect()

    found: list[Any] = await t.run(all_rows)
    return found


def claims(tokens: Tokens) -> dict[str, Any]:
    return jwt.decode(tokens["token"], options={"verify_signature": False})


def signed_in(t: Caller, tokens: Tokens) -> Caller:
    """A caller with the identity that the access token proves."""
    return t.with_identity(subject=claims(tokens)["sub"])
