"""Signing up and in with e-mail and password.

Owns the functions that the official `@convex-dev/auth` clients call, under the names that they
expect, and the mutations behind them. Never stores a password or a token. One invariant: a wrong
e-mail and a wrong password get the same answer in the same time.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pyconvex.accounts import attempts, passwords, sessions
from pyconvex.accounts.people import DIVIDER
from pyconvex.accounts.tables import ACCOUNTS, USERS, auth_tables
from pyconvex.accounts.tokens import RefreshToken, access_token, hash_of
from pyconvex.functions import (
    ActionCtx,
    Arg,
    ConvexError,
    FunctionBundle,
    MutationCtx,
    QueryCtx,
    action,
    internal_mutation,
    query,
)
from pyconvex.functions.auth_config import SITE_URL

#: Bytes of randomness in a refresh token's secret.
_SECRET_BYTES = 32
#: The longest address that mail knows (RFC 5321).
_MAX_EMAIL_CHARS = 254

#: Makes the fields of a new user's document out of what the form sent.
Profile = Callable[[Mapping[str, Any]], Mapping[str, Any]]
#: Says what is wrong with a password that somebody chooses; None when nothing is.
PasswordRule = Callable[[str], str | None]


def password_auth(
    *,
    provider: str = "password",
    profile: Profile = lambda params: {},
    check_password: PasswordRule = passwords.mistake,
) -> FunctionBundle:
    """Sign-up, sign-in, refresh and sign-out with e-mail and password, for `convex/auth.py`.

    auth = password_auth()

    gives the app `auth:signIn`, `auth:signOut` and `auth:isAuthenticated`, which the official
    `@convex-dev/auth` clients call, and the tables `users`, `authAccounts`, `authSessions`,
    `authRefreshTokens` and `authRateLimits`. `auth_config.py` must hold
    `OidcProvider.this_deployment()`.

    `profile` gets what the sign-up form sent and returns more fields for the user's document.
    `check_password` says what is wrong with a chosen password; by default it has 8 characters or
    more.
    """

    @internal_mutation(name="takeAttempt")
    async def take_attempt(ctx: MutationCtx, email: str) -> dict[str, Any]:
        """Pay for an attempt; what is stored of the account's password goes along."""
        allowed = await attempts.take_attempt(ctx.db, attempts.identifier_of(provider, email))
        account = await _account(ctx, provider, email) if allowed else None
        return {"allowed": allowed, "secret": account and account.get("secret")}

    @internal_mutation(name="createAccount")
    async def create_account(
        ctx: MutationCtx, email: str, secret: str, profile: dict[str, Any], token_hash: str
    ) -> dict[str, str] | None:
        """A new user and their first session; None when the account has come into being."""
        if await _account(ctx, provider, email) is not None:
            return None
        user_id = await ctx.db.insert(USERS, {"email": email, **profile})
        await ctx.db.insert(
            ACCOUNTS,
            {
                "userId": user_id,
                "provider": provider,
                "providerAccountId": email,
                "secret": secret,
            },
        )
        return await _enter(ctx, provider, email, user_id, token_hash)

    @internal_mutation(name="openSession")
    async def open_session(
        ctx: MutationCtx, email: str, secret: str, new_secret: str | None, token_hash: str
    ) -> dict[str, str] | None:
        """A session for whoever knew the password; None when it has been changed since."""
        account = await _account(ctx, provider, email)
        if account is None or account.get("secret") != secret:
            return None
        if new_secret is not None:
            await ctx.db.patch(account["_id"], {"secret": new_secret})
        return await _enter(ctx, provider, email, account["userId"], token_hash)

    @internal_mutation(name="refreshSession")
    async def refresh_session(
        ctx: MutationCtx, token_id: str, session_id: str, token_hash: str, new_token_hash: str
    ) -> dict[str, str] | None:
        opened = await sessions.refresh_session(
            ctx.db, token_id, session_id, token_hash, new_token_hash
        )
        return None if opened is None else opened.as_value()

    @internal_mutation(name="closeSession")
    async def close_session(ctx: MutationCtx) -> None:
        await _close_own_session(ctx)

    @action(name="signIn")
    async def sign_in(
        ctx: ActionCtx,
        provider_name: Annotated[str | None, Arg("provider")] = None,
        params: Any = None,
        verifier: str | None = None,
        refresh_token: Annotated[str | None, Arg("refreshToken")] = None,
        called_by: Annotated[str | None, Arg("calledBy")] = None,
    ) -> dict[str, Any]:
        """What the official clients call to sign up, to sign in and to refresh."""
        if refresh_token is not None:
            return {"tokens": await refreshed(ctx, refresh_token)}
        if provider_name is None:
            return {"tokens": None}  # a code out of a mail or from OAuth, of which there are none
        if provider_name != provider:
            raise _refusal("UnknownProvider", f"There is no way to sign in by {provider_name!r}.")
        form = params if isinstance(params, Mapping) else {}
        match form.get("flow"):
            case "signUp":
                return {"tokens": await signed_up(ctx, form)}
            case "signIn":
                return {"tokens": await signed_in(ctx, form)}
        raise _refusal("UnknownFlow", "`flow` must be signUp or signIn.")

    async def signed_up(ctx: ActionCtx, form: Mapping[str, Any]) -> dict[str, str]:
        email, password = _email(form), _password(form)
        wrong = check_password(password)
        if wrong is not None:
            raise _refusal("InvalidPassword", wrong)
        fields = dict(profile(form))
        stored = await attempt(ctx, email)
        if stored is not None:  # with the right password this is signing in
            return await entered(ctx, email, password, stored)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        opened = await ctx.run_mutation(
            create_account, email, await passwords.hashed(password), fields, hash_of(secret)
        )
        if opened is None:
            raise _wrong_credentials()
        return _tokens(ctx, opened, secret)

    async def signed_in(ctx: ActionCtx, form: Mapping[str, Any]) -> dict[str, str]:
        email, password = _email(form), _password(form)
        return await entered(ctx, email, password, await attempt(ctx, email))

    async def attempt(ctx: ActionCtx, email: str) -> str | None:
        taken = await ctx.run_mutation(take_attempt, email)
        if not taken["allowed"]:
            raise _refusal(
                "TooManyFailedAttempts", "Too many failed attempts. Try again in a few minutes."
            )
        stored: str | None = taken["secret"]
        return stored

    async def entered(
        ctx: ActionCtx, email: str, password: str, stored: str | None
    ) -> dict[str, str]:
        if not await passwords.matches(stored, password):
            raise _wrong_credentials()
        assert stored is not None
        renewed = await passwords.hashed(password) if passwords.is_outdated(stored) else None
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        opened = await ctx.run_mutation(open_session, email, stored, renewed, hash_of(secret))
        if opened is None:
            raise _wrong_credentials()
        return _tokens(ctx, opened, secret)

    async def refreshed(ctx: ActionCtx, text: str) -> dict[str, str] | None:
        token = RefreshToken.parse(text)
        if token is None:
            return None
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        opened = await ctx.run_mutation(
            refresh_session,
            token.token_id,
            token.session_id,
            hash_of(token.secret),
            hash_of(secret),
        )
        return None if opened is None else _tokens(ctx, opened, secret)

    @action(name="signOut")
    async def sign_out(ctx: ActionCtx) -> None:
        """What the official clients call to sign out."""
        await ctx.run_mutation(close_session)

    @query(name="isAuthenticated")
    async def is_authenticated(ctx: QueryCtx) -> bool:
        """What the official helpers for servers ask."""
        return await ctx.auth.get_user_identity() is not None

    return FunctionBundle(
        # Where the call stands, as `logging.getLogger(__name__)` would be told.
        module=sys._getframe(1).f_globals["__name__"],
        functions=(
            *(sign_in, sign_out, is_authenticated),
            *(take_attempt, create_account, open_session, refresh_session, close_session),
        ),
        tables=auth_tables,
    )


async def _account(ctx: MutationCtx, provider: str, email: str) -> dict[str, Any] | None:
    account: dict[str, Any] | None = (
        await ctx.db.query(ACCOUNTS)
        .with_index("providerAndAccountId", provider=provider, providerAccountId=email)
        .unique()
    )
    return account


async def _enter(
    ctx: MutationCtx, provider: str, email: str, user_id: str, token_hash: str
) -> dict[str, str]:
    """A session for this user; the one in which this client was before ends."""
    await attempts.forget_attempts(ctx.db, attempts.identifier_of(provider, email))
    await _close_own_session(ctx)
    return (await sessions.open_session(ctx.db, user_id, token_hash)).as_value()


async def _close_own_session(ctx: MutationCtx) -> None:
    identity = await ctx.auth.get_user_identity()
    if identity is None or identity["issuer"] != ctx.env.get(SITE_URL):
        return
    session_id = str(identity["subject"]).partition(DIVIDER)[2]
    await sessions.close_session(ctx.db, session_id)


def _tokens(ctx: ActionCtx, opened: Mapping[str, str], secret: str) -> dict[str, str]:
    """What the client stores."""
    refresh = RefreshToken(opened["tokenId"], opened["sessionId"], secret)
    token = access_token(
        ctx.env.get("JWT_PRIVATE_KEY"),
        ctx.env.get(SITE_URL, ""),
        opened["userId"],
        opened["sessionId"],
        time.time(),
    )
    return {"token": token, "refreshToken": str(refresh)}


def _email(form: Mapping[str, Any]) -> str:
    email = form.get("email")
    email = email.strip().lower() if isinstance(email, str) else ""
    name, at, host = email.rpartition("@")
    fits = name and at and host and len(email) <= _MAX_EMAIL_CHARS and email.isprintable()
    if not fits or " " in email:
        raise _refusal("InvalidEmail", "Enter an e-mail address, such as ann@example.com.")
    return email


def _password(form: Mapping[str, Any]) -> str:
    password = form.get("password")
    if not isinstance(password, str) or not password:
        raise _refusal("InvalidPassword", "Enter a password.")
    if len(password) > passwords.MAX_CHARS:
        limit = passwords.MAX_CHARS
        raise _refusal("InvalidPassword", f"A password has at most {limit} characters.")
    return password


def _wrong_credentials() -> ConvexError:
    return _refusal("InvalidCredentials", "No account has this e-mail and password.")


def _refusal(code: str, message: str) -> ConvexError:
    return ConvexError({"code": code, "message": message})
