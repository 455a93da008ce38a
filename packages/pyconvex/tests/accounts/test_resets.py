"""Somebody forgot their password."""

from __future__ import annotations

from typing import Any

from signing import AUTH_CONFIG, Scenario, Tokens, refresh, refused, rows, send, sign
from signing import run as run_app

from pyconvex.accounts import attempts
from pyconvex.accounts.resets import CODE_MS
from pyconvex.accounts.tables import ACCOUNTS, VERIFICATION_CODES
from pyconvex.testing import ConvexTest

APP = {
    "auth.py": """
from pyconvex import *
from pyconvex.accounts import password_auth

@internal_mutation
async def keep(ctx: MutationCtx, email: str, code: str) -> None:
    await ctx.db.insert("mail", {"email": email, "code": code})

async def send(ctx: ActionCtx, email: str, code: str) -> None:
    await ctx.run_mutation(keep, email, code)

auth = password_auth(send_reset_code=send)
""",
    "auth_config.py": AUTH_CONFIG,
}
NEW = {"newPassword": "battery staple"}


def run(scenario: Scenario) -> None:
    run_app(scenario, APP)


async def mailed(t: ConvexTest, email: str = "ann@example.com") -> str:
    """Ask for a code, and read it in the mail."""
    assert await send(t, "reset", email=email) == {"started": True}
    await t.advance(1)
    await t.drain()
    mail = [each for each in await rows(t, "mail") if each["email"] == email]
    return str(mail[-1]["code"])


async def reset(t: ConvexTest, code: str, **form: Any) -> Tokens:
    return await sign(t, "reset-verification", code=code, **{**NEW, **form})


def test_a_code_from_the_mail_sets_another_password() -> None:
    async def scenario(t: ConvexTest) -> None:
        before = await sign(t, "signUp")
        code = await mailed(t)
        assert len(code) == 8
        assert code not in str(await rows(t, VERIFICATION_CODES))
        tokens = await reset(t, f" {code} ")
        assert await refresh(t, tokens)
        assert await refresh(t, before) is None, "all sessions of before are over"
        assert await refused(t, "signIn") == "InvalidCredentials"
        assert await sign(t, "signIn", password="battery staple")
        assert (await rows(t, ACCOUNTS))[0]["emailVerified"] == "ann@example.com"
        assert await refused(t, "reset-verification", code=code, **NEW) == "InvalidCode"

    run(scenario)


def test_asking_tells_nobody_whether_there_is_an_account() -> None:
    async def scenario(t: ConvexTest) -> None:
        assert await send(t, "reset", email="nobody@example.com") == {"started": True}
        await t.advance(1)
        await t.drain()
        assert await rows(t, "mail") == []
        form = {"email": "nobody@example.com", "code": "12345678", **NEW}
        assert await refused(t, "reset-verification", **form) == "InvalidCode"

    run(scenario)


def test_a_code_counts_for_an_hour_and_until_the_next() -> None:
    async def scenario(t: ConvexTest) -> None:
        await sign(t, "signUp")
        first, second = await mailed(t), await mailed(t)
        assert await refused(t, "reset-verification", code=first, **NEW) == "InvalidCode"
        await t.advance(CODE_MS / 1000 + 1)
        assert await refused(t, "reset-verification", code=second, **NEW) == "InvalidCode"
        assert await reset(t, await mailed(t))

    run(scenario)


def test_codes_can_not_be_guessed_nor_mail_be_sent_without_end() -> None:
    async def scenario(t: ConvexTest) -> None:
        await sign(t, "signUp")
        code = await mailed(t)
        for number in range(attempts.PER_HOUR):
            guess = f"{number:08d}"
            assert await refused(t, "reset-verification", code=guess, **NEW) == "InvalidCode"
        tries = await refused(t, "reset-verification", code=code, **NEW)
        assert tries == "TooManyFailedAttempts"
        for _ in range(attempts.PER_HOUR - 1):
            await mailed(t)
        assert await refused(t, "reset") == "TooManyFailedAttempts"

    run(scenario)


def test_a_new_password_has_to_be_good_before_the_code_is_used() -> None:
    async def scenario(t: ConvexTest) -> None:
        await sign(t, "signUp")
        code = await mailed(t)
        form = {"code": code, "newPassword": "short"}
        assert await refused(t, "reset-verification", **form) == "InvalidPassword"
        assert await refused(t, "reset-verification", **NEW) == "InvalidCode"
        assert await reset(t, code)

    run(scenario)
