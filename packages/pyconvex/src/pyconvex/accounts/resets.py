"""A forgotten password: a code goes out by mail, and comes back with a new password.

Owns the codes. Never sends mail: the app does. One invariant: asking for a code tells nobody
whether there is such an account; the mail goes out afterwards, on its own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pyconvex.accounts import attempts, passwords, sessions
from pyconvex.accounts.mutations import AccountMutations, Opened
from pyconvex.accounts.tables import VERIFICATION_CODES
from pyconvex.functions import (
    ActionCtx,
    MutationCtx,
    RegisteredFunction,
    internal_action,
    internal_mutation,
)

#: Few enough to type, and with so few attempts an hour nobody guesses them.
_CODE_DIGITS = 8
#: How long a code counts, in milliseconds.
CODE_MS = 3_600_000.0

#: Brings a code to the person who has this e-mail address.
SendCode = Callable[[ActionCtx, str, str], Awaitable[None]]


class Resets:
    """The functions behind the flows `reset` and `reset-verification`."""

    def __init__(self, accounts: AccountMutations, send: SendCode) -> None:
        self._accounts = accounts
        self._send = send
        self.request_code = internal_mutation(name="requestCode")(self._request_code)
        self.send_code = internal_action(name="sendCode")(self._send_code)
        self.store_code = internal_mutation(name="storeCode")(self._store_code)
        self.take_code_attempt = internal_mutation(name="takeCodeAttempt")(self._take_code_attempt)
        self.use_code = internal_mutation(name="useCode")(self._use_code)

    @property
    def all(self) -> tuple[RegisteredFunction[..., Any], ...]:
        """To be registered in the app's module."""
        return (
            *(self.request_code, self.send_code, self.store_code),
            *(self.take_code_attempt, self.use_code),
        )

    async def _request_code(self, ctx: MutationCtx, email: str) -> bool:
        """Have a code sent, if there is somebody to send it to; False when too many were."""
        if not await attempts.take_attempt(ctx.db, self._accounts.counted_as(email, "mail")):
            return False
        if await self._accounts.account(ctx, email) is not None:
            await ctx.scheduler.run_after(0, self.send_code, email=email)
        return True

    async def _send_code(self, ctx: ActionCtx, email: str) -> None:
        """Make a code, keep its hash, and let the app send it."""
        code = f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"
        if await ctx.run_mutation(self.store_code, email, await passwords.hashed(code)):
            await self._send(ctx, email, code)

    async def _store_code(self, ctx: MutationCtx, email: str, code_hash: str) -> bool:
        """The one code that counts for this account from now on."""
        account = await self._accounts.account(ctx, email)
        if account is None:
            return False
        await self._forget_codes(ctx, account["_id"])
        fields = {
            "accountId": account["_id"],
            "provider": self._accounts.provider,
            "code": code_hash,
            "expirationTime": time.time() * 1000 + CODE_MS,
        }
        await ctx.db.insert(VERIFICATION_CODES, fields)
        return True

    async def _take_code_attempt(self, ctx: MutationCtx, email: str) -> dict[str, Any]:
        """Pay for an attempt; the hash of the code that counts goes along."""
        allowed = await attempts.take_attempt(ctx.db, self._accounts.counted_as(email))
        account = await self._accounts.account(ctx, email) if allowed else None
        code = None if account is None else await self._code(ctx, account["_id"])
        return {"allowed": allowed, "secret": code and code["code"]}

    async def _use_code(
        self, ctx: MutationCtx, email: str, code_hash: str, secret: str, token_hash: str
    ) -> Opened | None:
        """Another password and a session for whoever knew the code; None when it is used up."""
        account = await self._accounts.account(ctx, email)
        code = None if account is None else await self._code(ctx, account["_id"])
        if account is None or code is None or code["code"] != code_hash:
            return None
        await self._forget_codes(ctx, account["_id"])
        # Whoever has the code reads this address's mail.
        await ctx.db.patch(account["_id"], {"secret": secret, "emailVerified": email})
        await sessions.close_sessions(ctx.db, account["userId"])
        return await self._accounts.enter(ctx, email, account["userId"], token_hash)

    async def _code(self, ctx: MutationCtx, account_id: str) -> dict[str, Any] | None:
        codes = ctx.db.query(VERIFICATION_CODES).with_index("accountId", accountId=account_id)
        code: dict[str, Any] | None = await codes.first()
        return None if code is None or code["expirationTime"] < time.time() * 1000 else code

    async def _forget_codes(self, ctx: MutationCtx, account_id: str) -> None:
        codes = ctx.db.query(VERIFICATION_CODES).with_index("accountId", accountId=account_id)
        for code in await codes.collect():
            await ctx.db.delete(code["_id"])
