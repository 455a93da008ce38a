"""What an app or component author imports: decorators, contexts, schema, definitions.

The names here are re-exported by `pyconvex` itself; import them from there.
"""

from pyconvex.functions.auth_config import CustomJwtProvider, OidcProvider
from pyconvex.functions.blocking import BlockingActionCtx
from pyconvex.functions.bundle import FunctionBundle
from pyconvex.functions.component import (
    AppDefinition,
    ComponentDefinition,
    EnvRef,
    Mount,
    define_app,
    define_component,
)
from pyconvex.functions.context import ActionCtx, HttpActionCtx, MutationCtx, QueryCtx
from pyconvex.functions.crons import CronJobs, cron_jobs
from pyconvex.functions.db import DatabaseReader, DatabaseWriter
from pyconvex.functions.decorators import (
    action,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)
from pyconvex.functions.documents import Document
from pyconvex.functions.environment import EnvironmentView
from pyconvex.functions.errors import (
    ClientDisconnected,
    ConvexError,
    CredentialRefused,
    DefinitionError,
    FunctionCallError,
    RequestTooLarge,
)
from pyconvex.functions.headers import HeaderFields, Headers
from pyconvex.functions.hints import Arg
from pyconvex.functions.pagination import PaginationOptions, PaginationResult
from pyconvex.functions.references import (
    ComponentReference,
    FunctionHandle,
    FunctionReference,
    ModuleReference,
    api,
    components,
    internal,
    parse_path,
)
from pyconvex.functions.registration import FunctionKind, RegisteredFunction
from pyconvex.functions.request import Request
from pyconvex.functions.response import Response
from pyconvex.functions.router import HttpAction, HttpRouter, http_action, http_router
from pyconvex.functions.scheduler import Retry, ScheduledId, Scheduler
from pyconvex.functions.schema import Schema, Table, define_schema, define_table

__all__ = [
    "ActionCtx",
    "AppDefinition",
    "Arg",
    "BlockingActionCtx",
    "ClientDisconnected",
    "ComponentDefinition",
    "ComponentReference",
    "ConvexError",
    "CredentialRefused",
    "CronJobs",
    "CustomJwtProvider",
    "DatabaseReader",
    "DatabaseWriter",
    "DefinitionError",
    "Document",
    "EnvRef",
    "EnvironmentView",
    "FunctionBundle",
    "FunctionCallError",
    "FunctionHandle",
    "FunctionKind",
    "FunctionReference",
    "HeaderFields",
    "Headers",
    "HttpAction",
    "HttpActionCtx",
    "HttpRouter",
    "ModuleReference",
    "Mount",
    "MutationCtx",
    "OidcProvider",
    "PaginationOptions",
    "PaginationResult",
    "QueryCtx",
    "RegisteredFunction",
    "Request",
    "RequestTooLarge",
    "Response",
    "Retry",
    "ScheduledId",
    "Scheduler",
    "Schema",
    "Table",
    "action",
    "api",
    "components",
    "cron_jobs",
    "define_app",
    "define_component",
    "define_schema",
    "define_table",
    "http_action",
    "http_router",
    "internal",
    "internal_action",
    "internal_mutation",
    "internal_query",
    "mutation",
    "parse_path",
    "query",
]
