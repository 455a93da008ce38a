"""Signing up, in, on and out, as official clients do it, on the engine with a virtual clock."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signing import (
    AUTH_CONFIG,
    FORM,
    KEY,
    PASSWORD,
    Scenario,
    Tokens,
    claims,
    refresh,
    refused,
    rows,
    sign,
    signed_in,
)
from signing import run as run_app

from pyconvex import ConvexError, MutationCtx
from pyconvex.accounts import attempts, passwords, sessions
from pyconvex.accounts.tables import ACCOUNTS, RATE_LIMITS, REFRESH_TOKENS, SESSIONS, USERS
from pyconvex.accounts.tokens import ACCESS_S, RefreshToken, SigningError, access_token
from pyconvex.testing import AppLoadError, ConvexTest, FunctionFailed, convex_test

APP = {
    "auth.py": """
from pyconvex.accounts import password_auth

auth = password_auth(profile=lambda form: {"name": form["name"]} if "name" in form else {})
""",
    "auth_config.py": AUTH_CONFIG,
    "me.py": """
from typing import Any
from pyconvex import ActionCtx, QueryCtx, action, query
from pyconvex.accounts import get_auth_session_id, get_auth_user_id
from .auth import auth  # where it is imported, it adds nothing

@query
async def name(ctx: QueryCtx) -> Any:
    user_id = await get_auth_user_id(ctx)
    return user_id and (await ctx.db.get(user_id))["name"]

@action
async def ids(ctx: ActionCtx) -> Any:
    return [await get_auth_user_id(ctx), await get_auth_session_id(ctx), ctx.user_id]
""",
}


def run(scenario: Scenario, app: dict[str, str] | None = None) -> None:
    run_app(scenario, app or APP)


def test_signing_up_makes_a_user_with_a_session() -> None:
    async def scenario(t: ConvexTest) -> None:
        tokens = await sign(t, "signUp", email=" Ann@Example.com ")
        (user,), (session,) = await rows(t, USERS), await rows(t, SESSIONS)
        assert (user["email"], user["name"]) == ("ann@example.com", "Ann")
        found = claims(tokens)
        assert found["sub"] == f"{user['_id']}|{session['_id']}"
        assert (found["aud"], found["exp"] - found["iat"]) == ("convex", ACCESS_S)
        jwks = jwt.PyJWKSet.from_json(KEY.jwks)
        jwt.decode(tokens["token"], jwks.keys[0].key, ["RS256"], audience="convex")
        ann = signed_in(t, tokens)
        assert await ann.query("me:name") == "Ann"
        assert await ann.action("me:ids") == [user["_id"], session["_id"], user["_id"]]
        assert await ann.query("auth:isAuthenticated") is True
        assert await t.query("auth:isAuthenticated") is False

    run(scenario)


def test_nothing_that_gets_a_caller_in_is_stored() -> None:
    async def scenario(t: ConvexTest) -> None:
        tokens = await sign(t, "signUp")
        secret = RefreshToken.parse(tokens["refreshToken"])
        assert secret is not None
        for table in (USERS, ACCOUNTS, SESSIONS, REFRESH_TOKENS, RATE_LIMITS):
            text = str(await rows(t, table))
            assert PASSWORD not in text
            assert secret.secret not in text
            assert tokens["token"] not in text
        assert str(secret) not in repr(secret)
        assert (await rows(t, ACCOUNTS))[0]["secret"].startswith("$argon2id$")
        assert not any(PASSWORD in line for line in t.log_lines)

    run(scenario)


def test_signing_in_again_and_out() -> None:
    async def scenario(t: ConvexTest) -> None:
        first = await sign(t, "signUp")
        second = await sign(t, "signIn")
        assert len(await rows(t, USERS)) == 1
        assert len(await rows(t, SESSIONS)) == 2
        assert claims(first)["sub"] != claims(second)["sub"]
        await t.action("auth:signOut")
        assert len(await rows(t, SESSIONS)) == 2, "who is nobody ends nobody's session"
        assert await refresh(t, first)
        await signed_in(t, first).action("auth:signOut")
        assert await refresh(t, first) is None
        assert await refresh(t, second)
        # Signing in anew, a client leaves the session in which it was.
        await sign(signed_in(t, second), "signIn")
        assert await refresh(t, second) is None
        assert len(await rows(t, SESSIONS)) == 1

    run(scenario)


def test_a_wrong_password_and_an_unknown_account_look_alike() -> None:
    async def scenario(t: ConvexTest) -> None:
        await sign(t, "signUp")
        texts = []
        for form in ({"password": "wrong horse"}, {"email": "bo@example.com"}):
            with pytest.raises(ConvexError) as caught:
                await sign(t, "signIn", **form)
            texts.append(caught.value.data)
        assert texts[0] == texts[1]
        # Signing up with an address that is taken says no more than signing in.
        assert await refused(t, "signUp", password="wrong horse") == "InvalidCredentials"
        assert await sign(t, "signUp"), "and with its password it is signing in"
        assert len(await rows(t, USERS)) == 1

    run(scenario)


def test_failed_attempts_are_limited_and_come_back_with_time() -> None:
    async def scenario(t: ConvexTest) -> None:
        await sign(t, "signUp")
        for email in ("ann@example.com", "nobody@example.com"):
            for _ in range(attempts.PER_HOUR):
                code = await refused(t, "signIn", email=email, password="wrong horse")
                assert code == "InvalidCredentials"
            assert await refused(t, "signIn", email=email) == "TooManyFailedAttempts"
            assert await refused(t, "signUp", email=email) == "TooManyFailedAttempts"
        await t.advance(3600 / attempts.PER_HOUR + 1)
        assert await sign(t, "signIn")
        # A success forgives, and counters that say nothing any more go.
        assert await refused(t, "signIn", password="wrong horse") == "InvalidCredentials"
        await t.advance(2 * 3600)
        await refused(t, "signIn", email="third@example.com")
        assert len(await rows(t, RATE_LIMITS)) == 1

    run(scenario)


def test_many_attempts_at_once_get_no_more_than_one_after_another() -> None:
    async def scenario(t: ConvexTest) -> None:
        await sign(t, "signUp")
        tries = (refused(t, "signIn", password="wrong horse") for _ in range(2 * attempts.PER_HOUR))
        codes = await asyncio.gather(*tries)
        assert codes.count("InvalidCredentials") == attempts.PER_HOUR

    run(scenario)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"email": "ann"}, "InvalidEmail"),
        ({"email": "a b@example.com"}, "InvalidEmail"),
        ({"email": "a@" + "b" * 300}, "InvalidEmail"),
        ({"email": 7}, "InvalidEmail"),
        ({"password": "short"}, "InvalidPassword"),
        ({"password": "x" * 2000}, "InvalidPassword"),
        ({"password": None}, "InvalidPassword"),
        ({"flow": "reset"}, "UnknownFlow"),
    ],
)
def test_forms_that_can_not_be_taken(form: dict[str, Any], code: str) -> None:
    async def scenario(t: ConvexTest) -> None:
        params = {**FORM, "flow": "signUp", **form}
        with pytest.raises(ConvexError) as caught:
            await t.action("auth:signIn", {"provider": "password", "params": params})
        assert isinstance(caught.value.data, dict)
        assert caught.value.data["code"] == code
        assert await rows(t, USERS) == []

    run(scenario)


def test_what_the_official_client_may_also_ask() -> None:
    async def scenario(t: ConvexTest) -> None:
        code = {"params": {"code": "123"}, "verifier": "v", "calledBy": "x"}
        assert await t.action("auth:signIn", code) == {"tokens": None}
        with pytest.raises(ConvexError, match="UnknownProvider"):
            await t.action("auth:signIn", {"provider": "github"})
        for broken in ("", "a|b", "a|b|c|d", "a|b|c", "x" * 5000):
            assert await t.action("auth:signIn", {"refreshToken": broken}) == {"tokens": None}

    run(scenario)


def test_another_password_ends_the_sessions_of_the_old_one() -> None:
    async def scenario(t: ConvexTest) -> None:
        tokens = await sign(t, "signUp")
        other = await sign(t, "signUp", email="bo@example.com")
        change = {"email": "ANN@example.com", "password": "battery staple"}
        assert await t.action("auth:setPassword", change) is True
        assert await refresh(t, tokens) is None
        assert await refused(t, "signIn") == "InvalidCredentials"
        assert await sign(t, "signIn", password="battery staple")
        assert await refresh(t, other)
        assert await t.action("auth:setPassword", {**change, "email": "no@example.com"}) is False
        with pytest.raises(ConvexError, match="InvalidPassword"):
            await t.action("auth:setPassword", {**change, "password": "short"})

    run(scenario)


def test_clients_reach_three_functions_and_no_more() -> None:
    async def scenario(t: ConvexTest) -> None:
        functions = t.engine.image.spec.root.functions
        public = {f.path for f in functions if f.public and f.path.startswith("auth:")}
        assert public == {"auth:signIn", "auth:signOut", "auth:isAuthenticated"}

    run(scenario)


def test_a_refresh_token_is_good_for_one_answer() -> None:
    async def scenario(t: ConvexTest) -> None:
        first = await sign(t, "signUp")
        second = await refresh(t, first)
        assert second is not None
        assert claims(second)["sub"] == claims(first)["sub"]
        together = await refresh(t, first)
        assert together is not None, "tabs ask at the same time"
        await t.advance(60)
        assert await refresh(t, second)
        # The first one again, although its successor was used: somebody has stolen it, or did.
        assert await refresh(t, first) is None
        for tokens in (second, together):
            assert await refresh(t, tokens) is None
        assert await rows(t, SESSIONS) == await rows(t, REFRESH_TOKENS) == []
        assert any("is ended" in line for line in t.log_lines)

    run(scenario)


def test_tabs_that_ask_together_are_no_flood() -> None:
    async def scenario(t: ConvexTest) -> None:
        tokens = await sign(t, "signUp")
        answers = [await refresh(t, tokens) for _ in range(sessions._MAX_TOGETHER)]
        assert None not in answers
        assert await refresh(t, tokens) is None
        assert await rows(t, REFRESH_TOKENS) == []

    run(scenario)


def test_an_answer_that_got_lost_can_be_asked_for_again() -> None:
    async def scenario(t: ConvexTest) -> None:
        first = await sign(t, "signUp")
        lost = await refresh(t, first)
        await t.advance(3600)
        again = await refresh(t, first)
        assert lost is not None
        assert again is not None
        assert await refresh(t, lost) is None, "whoever got it instead can't use it"
        assert await refresh(t, again)

    run(scenario)


def test_a_guessed_secret_is_no_refresh_token_and_ends_nothing() -> None:
    async def scenario(t: ConvexTest) -> None:
        tokens = await sign(t, "signUp")
        token = RefreshToken.parse(tokens["refreshToken"])
        assert token is not None
        for forged in (
            RefreshToken(token.token_id, token.session_id, "guessed"),
            RefreshToken(token.session_id, token.token_id, token.secret),
            RefreshToken(token.token_id, token.token_id, token.secret),
        ):
            assert await refresh(t, {"refreshToken": str(forged)}) is None
        assert await refresh(t, tokens)

    run(scenario)


def test_sessions_end_with_time_or_with_their_user() -> None:
    async def scenario(t: ConvexTest) -> None:
        tokens = await sign(t, "signUp")
        await t.advance(sessions.TOTAL_MS / 1000 / 2)
        kept = await refresh(t, tokens)
        assert kept is not None
        await t.advance(sessions.TOTAL_MS / 1000 / 2 + 60)
        assert await refresh(t, kept) is None
        assert await rows(t, SESSIONS) == []
        tokens = await sign(t, "signIn")

        async def remove(ctx: MutationCtx) -> None:
            for user in await ctx.db.query(USERS).collect():
                await ctx.db.delete(user["_id"])

        await t.run(remove)
        assert await refresh(t, tokens) is None

    run(scenario)


def test_a_session_that_is_used_for_long_keeps_few_tokens() -> None:
    async def scenario(t: ConvexTest) -> None:
        tokens: Tokens | None = await sign(t, "signUp")
        for _ in range(sessions._MAX_USED + 8):
            await t.advance(60)
            assert tokens is not None
            tokens = await refresh(t, tokens)
        assert len(await rows(t, REFRESH_TOKENS)) <= sessions._MAX_USED + 2

    run(scenario)


def test_the_app_s_own_users_table_wins() -> None:
    own = """
from pyconvex import Document

class User(Document, table="users"):
    email: str
    name: str | None = None
    plan: str = "free"
"""

    async def scenario(t: ConvexTest) -> None:
        await sign(t, "signUp")
        (user,) = await rows(t, USERS)
        assert (user.email, user.name, user.plan) == ("ann@example.com", "Ann", "free")

    run(scenario, {**APP, "users.py": own})


def test_an_app_that_does_not_trust_itself_is_not_deployed() -> None:
    async def main() -> None:
        without = {name: text for name, text in APP.items() if name != "auth_config.py"}
        with pytest.raises(AppLoadError, match=r"auth\.py signs people in.*this_deployment"):
            async with convex_test(without):
                pass

    asyncio.run(main())


def test_without_a_key_nobody_signs_in_and_the_error_says_what_to_do() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.set_env(JWT_PRIVATE_KEY=None)
        with pytest.raises(FunctionFailed, match="has no key to sign tokens with"):
            await sign(t, "signUp")

    run(scenario)


def test_keys_as_the_official_tool_writes_them() -> None:
    one_line = KEY.private_pem.strip().replace("\n", " ")
    assert access_token(one_line, "https://i", "u", "s", 0.0).count(".") == 2
    for wrong in ("nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"):
        with pytest.raises(SigningError, match="JWT_PRIVATE_KEY"):
            access_token(wrong, "https://i", "u", "s", 0.0)


def test_passwords_are_compared_by_their_hash() -> None:
    async def body() -> None:
        stored = await passwords.hashed(PASSWORD)
        assert await passwords.matches(stored, PASSWORD)
        assert not await passwords.matches(stored, PASSWORD + " ")
        assert not await passwords.matches(None, PASSWORD)
        assert not await passwords.matches("no hash", PASSWORD)
        assert not passwords.is_outdated(stored)
        assert passwords.is_outdated(passwords._NOBODY.replace("t=2", "t=1"))
        assert not passwords.is_outdated(passwords._NOBODY), "it costs as much as a real one"

    asyncio.run(body())


@given(st.text(max_size=60))
def test_texts_that_are_refresh_tokens(text: str) -> None:
    token = RefreshToken.parse(text)
    if token is not None:
        assert str(token) == text
        assert text.count("|") == 2


STEPS = st.lists(
    st.tuples(st.sampled_from(["refresh", "wait"]), st.integers(0, 5)), min_size=1, max_size=12
)


@settings(max_examples=15)
@given(STEPS)
def test_whatever_order_tokens_are_shown_in_at_most_one_line_of_them_survives_a_theft(
    steps: list[tuple[str, int]],
) -> None:
    """After waiting, of all tokens that were ever given, those of one parent alone get an answer:
    either the newest line goes on, or the session is over.
    """

    async def scenario(t: ConvexTest) -> None:
        given_out = [await sign(t, "signUp")]
        for step, number in steps:
            if step == "wait":
                await t.advance(60)
                continue
            answer = await refresh(t, given_out[number % len(given_out)])
            if answer is not None:
                given_out.append(answer)
        await t.advance(60)
        before = await rows(t, REFRESH_TOKENS)
        live = [row for row in before if "firstUsedTime" not in row]
        known = {row["_id"] for row in before}
        assert len(await rows(t, SESSIONS)) == bool(before)
        for row in before:
            assert row.get("parentRefreshTokenId") is None or row["parentRefreshTokenId"] in known
        if before:
            assert live, "a session that goes on has a token to go on with"

    run(scenario)
