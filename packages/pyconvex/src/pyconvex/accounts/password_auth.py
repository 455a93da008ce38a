"""Signing up and in with e-mail and password.

Owns the functions that the official `@convex-dev/auth` clients call, under the names that they
expect. Never stores anything itself. One invariant: a wrong e-mail and a wrong password get the
same answer in the same time.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pyconvex.accounts import passwords
from pyconvex.accounts.mutations import AccountMutations, Opened
from pyconvex.accounts.resets import Resets, SendCode
from pyconvex.accounts.tables import auth_tables
from pyconvex.accounts.tokens import RefreshToken, access_token, hash_of
from pyconvex.functions import (
    ActionCtx,
    Arg,
    ConvexError,
    FunctionBundle,
    QueryCtx,
    action,
    internal_action,
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
#: What the client stores: `token` and `refreshToken`.
Tokens = dict[str, str]


def password_auth(
    *,
    provider: str = "password",
    profile: Profile = lambda form: {},
    check_password: PasswordRule = passwords.mistake,
    send_reset_code: SendCode | None = None,
) -> FunctionBundle:
    """Sign-up, sign-in, refresh and sign-out with e-mail and password, for `convex/auth.py`.

    auth = password_auth()

    gives the app `auth:signIn`, `auth:signOut` and `auth:isAuthenticated`, which the official
    `@convex-dev/auth` clients call, and the tables `users`, `authAccounts`, `authSessions`,
    `authRefreshTokens`, `authVerificationCodes` and `authRateLimits`. `auth_config.py` must hold
    `OidcProvider.this_deployment()`.

    The internal action `auth:setPassword` (`email`, `password`) gives an account another password
    and ends its user's sessions, for a reset of your own and for `pyconvex run`.

    `profile` gets what the sign-up form sent and returns more fields for the user's document.
    `check_password` says what is wrong with a chosen password; by default it has 8 characters or
    more. `send_reset_code(ctx, email, code)` sends a mail to somebody who forgot theirs, and so
    turns the flows `reset` and `reset-verification` on.
    """
    mutations = AccountMutations(provider)
    resets = None if send_reset_code is None else Resets(mutations, send_reset_code)
    auth = _PasswordAuth(mutations, resets, profile, check_password)
    return FunctionBundle(
        # Where the call stands, as `logging.getLogger(__name__)` would be told.
        module=sys._getframe(1).f_globals["__name__"],
        functions=(
            action(name="signIn")(auth.sign_in),
            action(name="signOut")(auth.sign_out),
            query(name="isAuthenticated")(auth.is_authenticated),
            internal_action(name="setPassword")(auth.set_password),
            *mutations.all,
            *(() if resets is None else resets.all),
        ),
        tables=auth_tables,
        issues_tokens=True,
    )


class _PasswordAuth:
    """What clients call; the mutations behind it decide."""

    def __init__(
        self,
        mutations: AccountMutations,
        resets: Resets | None,
        profile: Profile,
        check_password: PasswordRule,
    ) -> None:
        self._mutations = mutations
        self._resets = resets
        self._profile = profile
        self._check_password = check_password

    async def sign_in(
        self,
        ctx: ActionCtx,
        provider: str | None = None,
        params: Any = None,
        verifier: str | None = None,
        refresh_token: Annotated[str | None, Arg("refreshToken")] = None,
        called_by: Annotated[str | None, Arg("calledBy")] = None,
    ) -> dict[str, Any]:
        """What the official clients call to sign up, to sign in and to refresh."""
        if refresh_token is not None:
            return {"tokens": await self._refreshed(ctx, refresh_token)}
        if provider is None:
            return {"tokens": None}  # a code out of a mail or from OAuth, of which there are none
        if provider != self._mutations.provider:
            raise _refusal("UnknownProvider", f"There is no way to sign in by {provider!r}.")
        form = params if isinstance(params, Mapping) else {}
        match form.get("flow"), self._resets:
            case "signUp", _:
                return {"tokens": await self._signed_up(ctx, form)}
            case "signIn", _:
                return {"tokens": await self._signed_in(ctx, form)}
            case "reset", Resets() as resets:
                if not await ctx.run_mutation(resets.request_code, _email(form.get("email"))):
                    raise _too_many_attempts()
                return {"started": True}
            case "reset-verification", Resets() as resets:
                return {"tokens": await self._reset(ctx, resets, form)}
        raise _refusal("UnknownFlow", "There is no such `flow` here.")

    async def sign_out(self, ctx: ActionCtx) -> None:
        """What the official clients call to sign out."""
        await ctx.run_mutation(self._mutations.close_session)

    async def is_authenticated(self, ctx: QueryCtx) -> bool:
        """What the official helpers for servers ask."""
        return await ctx.auth.get_user_identity() is not None

    async def set_password(self, ctx: ActionCtx, email: str, password: str) -> bool:
        """For the app and its operators; False when there is no such account."""
        email = _email(email)
        secret = await passwords.hashed(self._chosen(password))
        return await ctx.run_mutation(self._mutations.store_password, email, secret)

    async def _signed_up(self, ctx: ActionCtx, form: Mapping[str, Any]) -> Tokens:
        email, password = _email(form.get("email")), self._chosen(form.get("password"))
        profile = dict(self._profile(form))
        stored = await self._attempt(ctx, email)
        if stored is not None:  # with the right password this is signing in
            return await self._entered(ctx, email, password, stored)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        opened = await ctx.run_mutation(
            self._mutations.create_account,
            email,
            await passwords.hashed(password),
            profile,
            hash_of(secret),
        )
        return _tokens(ctx, opened, secret)

    async def _signed_in(self, ctx: ActionCtx, form: Mapping[str, Any]) -> Tokens:
        email, password = _email(form.get("email")), _password(form.get("password"))
        return await self._entered(ctx, email, password, await self._attempt(ctx, email))

    async def _attempt(self, ctx: ActionCtx, email: str) -> str | None:
        """The stored hash; None when there is no such account."""
        return _stored(await ctx.run_mutation(self._mutations.take_attempt, email))

    async def _entered(
        self, ctx: ActionCtx, email: str, password: str, stored: str | None
    ) -> Tokens:
        if not await passwords.matches(stored, password):
            raise _wrong_credentials()
        assert stored is not None
        renewed = await passwords.hashed(password) if passwords.is_outdated(stored) else None
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        opened = await ctx.run_mutation(
            self._mutations.open_session, email, stored, renewed, hash_of(secret)
        )
        return _tokens(ctx, opened, secret)

    async def _reset(self, ctx: ActionCtx, resets: Resets, form: Mapping[str, Any]) -> Tokens:
        email, code = _email(form.get("email")), str(form.get("code") or "").strip()
        password = self._chosen(form.get("newPassword"))
        stored = _stored(await ctx.run_mutation(resets.take_code_attempt, email))
        opened = None
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        if await passwords.matches(stored, code):
            assert stored is not None
            hashed = await passwords.hashed(password)
            opened = await ctx.run_mutation(resets.use_code, email, stored, hashed, hash_of(secret))
        if opened is None:
            raise _refusal("InvalidCode", "This code is not the right one, or not any more.")
        return _tokens(ctx, opened, secret)

    async def _refreshed(self, ctx: ActionCtx, text: str) -> Tokens | None:
        token = RefreshToken.parse(text)
        if token is None:
            return None
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        opened = await ctx.run_mutation(
            self._mutations.refresh_session,
            token.token_id,
            token.session_id,
            hash_of(token.secret),
            hash_of(secret),
        )
        return None if opened is None else _tokens(ctx, opened, secret)

    def _chosen(self, value: object) -> str:
        password = _password(value)
        wrong = self._check_password(password)
        if wrong is not None:
            raise _refusal("InvalidPassword", wrong)
        return password


def _stored(taken: Mapping[str, Any]) -> str | None:
    """The hash that an attempt was paid for."""
    if not taken["allowed"]:
        raise _too_many_attempts()
    stored: str | None = taken["secret"]
    return stored


def _tokens(ctx: ActionCtx, opened: Opened | None, secret: str) -> Tokens:
    """What the client stores of its session; without one, somebody else was faster."""
    if opened is None:
        raise _wrong_credentials()
    refresh = RefreshToken(opened["tokenId"], opened["sessionId"], secret)
    token = access_token(
        ctx.env.get("JWT_PRIVATE_KEY"),
        ctx.env.get(SITE_URL, ""),
        opened["userId"],
        opened["sessionId"],
        time.time(),
    )
    return {"token": token, "refreshToken": str(refresh)}


def _email(value: object) -> str:
    email = value.strip().lower() if isinstance(value, str) else ""
    name, at, host = email.rpartition("@")
    fits = name and at and host and len(email) <= _MAX_EMAIL_CHARS and email.isprintable()
    if not fits or " " in email:
        raise _refusal("InvalidEmail", "Enter an e-mail address, such as ann@example.com.")
    return email


def _password(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _refusal("InvalidPassword", "Enter a password.")
    if len(value) > passwords.MAX_CHARS:
        limit = passwords.MAX_CHARS
        raise _refusal("InvalidPassword", f"A password has at most {limit} characters.")
    return value


def _wrong_credentials() -> ConvexError:
    return _refusal("InvalidCredentials", "No account has this e-mail and password.")


def _too_many_attempts() -> ConvexError:
    return _refusal(
        "TooManyFailedAttempts", "Too many failed attempts. Try again in a few minutes."
    )


def _refusal(code: str, message: str) -> ConvexError:
    return ConvexError({"code": code, "message": message})
