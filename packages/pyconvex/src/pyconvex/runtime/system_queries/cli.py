"""What `npx convex` and `pyconvex` ask: variables, tables, documents, functions, the address.

Owns these queries under Convex's own paths. Never formats for people; the tools do.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pyconvex.functions import PaginationOptions, PaginationResult, RegisteredFunction
from pyconvex.runtime.settings.addresses import CLOUD_URL, SITE_URL
from pyconvex.runtime.system_queries.api_spec import api_spec
from pyconvex.runtime.system_queries.context import SystemCtx, system_query

#: The cursor behind a list that is always given whole.
_END = "end"


@system_query
async def variables(ctx: SystemCtx) -> Any:
    """All variables, by name."""
    return [{"name": name, "value": value} for name, value in sorted(ctx.variables().items())]


@system_query
async def variable(ctx: SystemCtx, name: str) -> Any:
    """One variable, or null."""
    value = ctx.variable(name)
    return None if value is None else {"name": name, "value": value}


@system_query
async def tables(ctx: SystemCtx, pagination_opts: PaginationOptions) -> Any:
    """The tables of a component, in one page."""
    page = [{"name": name} for name in sorted(ctx.table_names())]
    return {"page": page, "isDone": True, "continueCursor": _END}


@system_query
async def table_data(
    ctx: SystemCtx,
    table: str,
    pagination_opts: PaginationOptions,
    order: Literal["asc", "desc"] = "desc",
) -> PaginationResult[Any]:
    """Documents of a table by their creation, page by page."""
    return await ctx.table(table).order(order).paginate(pagination_opts)


@system_query
async def functions(ctx: SystemCtx) -> Any:
    """What can be called, with arguments and results."""
    component = ctx.deployed()
    return [] if component is None else api_spec(component)


@system_query
async def cloud_url(ctx: SystemCtx) -> Any:
    """Where clients reach the deployment."""
    return ctx.address(CLOUD_URL)


@system_query
async def site_url(ctx: SystemCtx) -> Any:
    """Where its HTTP actions are."""
    return ctx.address(SITE_URL)


@system_query
async def imports(ctx: SystemCtx) -> list[Any]:
    """Imports under way: none, since there are no imports. `npx convex import` asks before it is
    refused.
    """
    return []


QUERIES: Final[dict[str, RegisteredFunction[..., Any]]] = {
    "cli/queryEnvironmentVariables:default": variables,
    "cli/queryEnvironmentVariables:get": variable,
    "cli/tables:default": tables,
    "cli/tableData:default": table_data,
    "cli/modules:apiSpec": functions,
    "cli/convexUrl:cloudUrl": cloud_url,
    "cli/convexUrl:siteUrl": site_url,
    "cli/queryImport:list": imports,
}
