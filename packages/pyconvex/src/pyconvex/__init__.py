"""A function host in Python that speaks Convex's client protocol.

Write queries, mutations and actions; any official Convex client calls them and follows them live.
Unofficial: not affiliated with or endorsed by Convex.
"""

from pyconvex.functions import (
    ActionCtx,
    Arg,
    ConvexError,
    CustomJwtProvider,
    Document,
    MutationCtx,
    OidcProvider,
    PaginationOptions,
    PaginationResult,
    QueryCtx,
    Retry,
    ScheduledId,
    action,
    api,
    components,
    cron_jobs,
    define_app,
    define_component,
    define_schema,
    define_table,
    internal,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)
from pyconvex.values import COMMIT_TS, UNSET, CommitTs, Id, Int64, Value, v

__version__ = "0.1.0"

__all__ = [
    "COMMIT_TS",
    "UNSET",
    "ActionCtx",
    "Arg",
    "CommitTs",
    "ConvexError",
    "CustomJwtProvider",
    "Document",
    "Id",
    "Int64",
    "MutationCtx",
    "OidcProvider",
    "PaginationOptions",
    "PaginationResult",
    "QueryCtx",
    "Retry",
    "ScheduledId",
    "Value",
    "action",
    "api",
    "components",
    "cron_jobs",
    "define_app",
    "define_component",
    "define_schema",
    "define_table",
    "internal",
    "internal_action",
    "internal_mutation",
    "internal_query",
    "mutation",
    "query",
    "v",
]
