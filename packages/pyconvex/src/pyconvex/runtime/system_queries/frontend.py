"""What dashboards ask, and `npx convex` with them: components and schemas.

Owns these queries under Convex's own paths. Never formats for people; the tools do.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pyconvex.functions import RegisteredFunction
from pyconvex.runtime.system_queries.context import SystemCtx, system_query


@system_query
async def components(ctx: SystemCtx) -> Any:
    """Every component by its path, the app itself left out."""
    return [
        {
            "id": row.path,
            "name": row.path.rpartition("/")[2],
            "path": row.path,
            "args": {},
            "state": "active",
        }
        for row in ctx.components()
        if row.path
    ]


@system_query
async def schemas(ctx: SystemCtx) -> Any:
    """The schema in force, as the text of a JSON object."""
    component = ctx.deployed()
    if component is None:
        return {"active": None, "inProgress": None}
    tables = [
        {
            "tableName": table.name,
            "indexes": [
                {"indexDescriptor": name, "fields": fields}
                for name, fields in sorted(table.indexes.items())
            ],
            "searchIndexes": [],
            "vectorIndexes": [],
            "documentType": table.document,
        }
        for table in component.tables
    ]
    active = json.dumps({"tables": tables, "schemaValidation": True})
    return {"active": active, "inProgress": None}


QUERIES: Final[dict[str, RegisteredFunction[..., Any]]] = {
    "frontend/components:list": components,
    "frontend/getSchemas:default": schemas,
}
