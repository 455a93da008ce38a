"""What an app or component author imports: decorators, contexts, schema, definitions.

The names here are re-exported by `pyconvex` itself; import them from there.
"""

from pyconvex.functions.auth_config import CustomJwtProvider, OidcProvider
from pyconvex.functions.bundle import FunctionBundle
from pyconvex.functions.component import (
    AppDefinition,
    ComponentDefinition,
    EnvRef,
    define_app,
    define_component,
)
from pyconvex.functions.context import ActionCtx, MutationCtx, QueryCtx
from pyconvex.functions.crons import CronJobs, cron_jobs
from pyconvex.functions.db import DatabaseReader, DatabaseWriter
from pyconvex.functions.documents import Document
from pyconvex.functions.environment import EnvironmentView
from pyconvex.functions.errors import ConvexError, DefinitionError, FunctionCallError
from pyconvex.functions.hints import Arg
from pyconvex.functions.pagination import PaginationOptions, PaginationResult
from pyconvex.functions.references import (
    ComponentReference,
    FunctionReference,
    ModuleReference,
    api,
    components,
    internal,
    parse_path,
)
from pyconvex.functions.registration import (
    FunctionKind,
    RegisteredFunction,
    action,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)
from pyconvex.functions.scheduler import Retry, ScheduledId, Scheduler
from pyconvex.functions.schema import Schema, Table, define_schema, define_table

__all__ = [
    "ActionCtx",
    "AppDefinition",
    "Arg",
    "ComponentDefinition",
    "ComponentReference",
    "ConvexError",
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
    "FunctionKind",
    "FunctionReference",
    "ModuleReference",
    "MutationCtx",
    "OidcProvider",
    "PaginationOptions",
    "PaginationResult",
    "QueryCtx",
    "RegisteredFunction",
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
    "internal",
    "internal_action",
    "internal_mutation",
    "internal_query",
    "mutation",
    "parse_path",
    "query",
]
