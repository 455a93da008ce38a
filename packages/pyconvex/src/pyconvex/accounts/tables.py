"""The tables of accounts and sessions.

Owns their fields, which are those of the official library, so that its apps and documents fit. One
invariant: tokens and passwords stand in them as hashes only.
"""

from __future__ import annotations

from pyconvex.functions.schema import Table, define_table
from pyconvex.values import v

USERS = "users"
ACCOUNTS = "authAccounts"
SESSIONS = "authSessions"
REFRESH_TOKENS = "authRefreshTokens"
VERIFICATION_CODES = "authVerificationCodes"
RATE_LIMITS = "authRateLimits"

#: What an app gets unless it declares a table of the same name itself. An own `users` table may
#: have more fields, all optional unless `profile` fills them.
auth_tables: dict[str, Table] = {
    USERS: define_table(
        {
            "name": v.optional(v.string()),
            "image": v.optional(v.string()),
            "email": v.optional(v.string()),
            "emailVerificationTime": v.optional(v.float64()),
            "phone": v.optional(v.string()),
            "phoneVerificationTime": v.optional(v.float64()),
            "isAnonymous": v.optional(v.boolean()),
        }
    )
    .index("email", ["email"])
    .index("phone", ["phone"]),
    ACCOUNTS: define_table(
        {
            "userId": v.id(USERS),
            "provider": v.string(),
            "providerAccountId": v.string(),
            "secret": v.optional(v.string()),
            "emailVerified": v.optional(v.string()),
            "phoneVerified": v.optional(v.string()),
        }
    )
    .index("userIdAndProvider", ["userId", "provider"])
    .index("providerAndAccountId", ["provider", "providerAccountId"]),
    SESSIONS: define_table({"userId": v.id(USERS), "expirationTime": v.float64()}).index(
        "userId", ["userId"]
    ),
    REFRESH_TOKENS: define_table(
        {
            "sessionId": v.id(SESSIONS),
            "expirationTime": v.float64(),
            "firstUsedTime": v.optional(v.float64()),
            "parentRefreshTokenId": v.optional(v.id(REFRESH_TOKENS)),
            #: SHA-256 of the part that nobody but the client has.
            "secretHash": v.string(),
        }
    )
    .index("sessionId", ["sessionId"])
    .index("sessionIdAndParentRefreshTokenId", ["sessionId", "parentRefreshTokenId"]),
    VERIFICATION_CODES: define_table(
        {
            "accountId": v.id(ACCOUNTS),
            "provider": v.string(),
            "code": v.string(),
            "expirationTime": v.float64(),
            "verifier": v.optional(v.string()),
            "emailVerified": v.optional(v.string()),
            "phoneVerified": v.optional(v.string()),
        }
    )
    .index("accountId", ["accountId"])
    .index("code", ["code"]),
    RATE_LIMITS: define_table(
        {
            "identifier": v.string(),
            "lastAttemptTime": v.float64(),
            "attemptsLeft": v.float64(),
        }
    )
    .index("identifier", ["identifier"])
    .index("lastAttemptTime", ["lastAttemptTime"]),
}
