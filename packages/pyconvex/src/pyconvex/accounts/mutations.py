"""What sign-up and sign-in change in the tables, a mutation each.

Owns accounts and which session a client gets. Never sees a password or a token, only hashes. One
invariant: what a decision was made on is checked again in the mutation that acts on it.
"""

from __future__ import annotations

from typing import Any

from pyconvex.accounts import attempts, sessions
from pyconvex.accounts.people import get_auth_session_id
from pyconvex.accounts.tables import ACCOUNTS, USERS
from pyconvex.functions import MutationCtx, RegisteredFunction, internal_mutation

#: User, session and refresh token by id, as a function returns them.
Opened = dict[str, str]


class AccountMutations:
    """The mutations of one way to sign in, named `provider` in its accounts."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.take_attempt = internal_mutation(name="takeAttempt")(self._take_attempt)
        self.create_account = internal_mutation(name="createAccount")(self._create_account)
        self.open_session = internal_mutation(name="openSession")(self._open_session)
        self.refresh_session = internal_mutation(name="refreshSession")(self._refresh_session)
        self.close_session = internal_mutation(name="closeSession")(self._close_session)
        self.store_password = internal_mutation(name="storePassword")(self._store_password)

    @property
    def all(self) -> tuple[RegisteredFunction[..., Any], ...]:
        """To be registered in the app's module."""
        return (
            *(self.take_attempt, self.create_account, self.open_session),
            *(self.refresh_session, self.close_session, self.store_password),
        )

    async def _take_attempt(self, ctx: MutationCtx, email: str) -> dict[str, Any]:
        """Pay for an attempt; what is stored of the account's password goes along."""
        allowed = await attempts.take_attempt(ctx.db, self.counted_as(email))
        account = await self.account(ctx, email) if allowed else None
        return {"allowed": allowed, "secret": account and account.get("secret")}

    async def _create_account(
        self, ctx: MutationCtx, email: str, secret: str, profile: dict[str, Any], token_hash: str
    ) -> Opened | None:
        """A new user and their first session; None when the account has come into being."""
        if await self.account(ctx, email) is not None:
            return None
        user_id = await ctx.db.insert(USERS, {"email": email, **profile})
        await ctx.db.insert(
            ACCOUNTS,
            {
                "userId": user_id,
                "provider": self.provider,
                "providerAccountId": email,
                "secret": secret,
            },
        )
        return await self.enter(ctx, email, user_id, token_hash)

    async def _open_session(
        self, ctx: MutationCtx, email: str, secret: str, new_secret: str | None, token_hash: str
    ) -> Opened | None:
        """A session for whoever knew the password; None when it has been changed since."""
        account = await self.account(ctx, email)
        if account is None or account.get("secret") != secret:
            return None
        if new_secret is not None:
            await ctx.db.patch(account["_id"], {"secret": new_secret})
        return await self.enter(ctx, email, account["userId"], token_hash)

    async def _refresh_session(
        self, ctx: MutationCtx, token_id: str, session_id: str, token_hash: str, new_token_hash: str
    ) -> Opened | None:
        """The next refresh token; None when the one that was shown doesn't count."""
        opened = await sessions.refresh_session(
            ctx.db, token_id, session_id, token_hash, new_token_hash
        )
        return None if opened is None else opened.as_value()

    async def _close_session(self, ctx: MutationCtx) -> None:
        """End the session that calls, if one of ours does."""
        session_id = await get_auth_session_id(ctx)
        if session_id is not None:
            await sessions.close_session(ctx.db, session_id)

    async def _store_password(self, ctx: MutationCtx, email: str, secret: str) -> bool:
        """Another password for an account; every session of its user ends."""
        account = await self.account(ctx, email)
        if account is None:
            return False
        await ctx.db.patch(account["_id"], {"secret": secret})
        await attempts.forget_attempts(ctx.db, self.counted_as(email))
        await sessions.close_sessions(ctx.db, account["userId"])
        return True

    async def enter(self, ctx: MutationCtx, email: str, user_id: str, token_hash: str) -> Opened:
        """A session for this user; the one in which this client was before ends."""
        await attempts.forget_attempts(ctx.db, self.counted_as(email))
        await self._close_session(ctx)
        return (await sessions.open_session(ctx.db, user_id, token_hash)).as_value()

    async def account(self, ctx: MutationCtx, email: str) -> dict[str, Any] | None:
        """The account of this address, if there is one."""
        account: dict[str, Any] | None = (
            await ctx.db.query(ACCOUNTS)
            .with_index("providerAndAccountId", provider=self.provider, providerAccountId=email)
            .unique()
        )
        return account

    def counted_as(self, email: str, purpose: str = "") -> str:
        """Under which name attempts are counted."""
        return attempts.identifier_of(f"{self.provider}{purpose}", email)
