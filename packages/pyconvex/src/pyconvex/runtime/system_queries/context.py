"""What a system query gets as `ctx`: one component's tables, and what is deployed.

Owns the doors that functions of an app don't have. Never writes through them. One invariant: all
that it gives is read through the transaction, and so part of the query's read set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pyconvex.database import ComponentRow, Namespace, Transaction, all_components
from pyconvex.functions import FunctionCallError, FunctionKind, QueryCtx, RegisteredFunction
from pyconvex.functions.context import Run
from pyconvex.functions.db import SYSTEM_TABLES, DatabaseReader, TableQuery
from pyconvex.functions.pages import Pager
from pyconvex.functions.schema import Schema
from pyconvex.runtime.app.spec import ComponentSpec
from pyconvex.runtime.scheduling.cron_jobs import CRONS, LOGS
from pyconvex.runtime.settings.addresses import address

_CRON_TABLES = frozenset({CRONS, LOGS})


def system_query(handler: Callable[..., Awaitable[Any]]) -> RegisteredFunction[..., Any]:
    """Make an `async def` over a `SystemCtx` a query."""
    return RegisteredFunction(
        handler, FunctionKind.QUERY, public=False, name=None, args=None, returns=None
    )


class SystemCtx(QueryCtx):
    """The context of a system query."""

    def __init__(
        self, run: Run, transaction: Transaction, namespace: Namespace, pager: Pager
    ) -> None:
        super().__init__(run, DatabaseReader(namespace, Schema({}), pager))
        self._transaction = transaction
        self._namespace = namespace

    def variables(self) -> dict[str, str]:
        """The deployment's variables."""
        return self._transaction.namespace("").env_all()

    def variable(self, name: str) -> str | None:
        """One variable of the deployment."""
        return self._transaction.namespace("").env(name)

    def address(self, name: str) -> str | None:
        """`CONVEX_CLOUD_URL` or `CONVEX_SITE_URL`."""
        return address(self._transaction, name)

    def components(self) -> list[ComponentRow]:
        """Everything that is deployed, the root first."""
        return all_components(self._transaction)

    def deployed(self) -> ComponentSpec | None:
        """What is deployed where this query looks; None when nothing ever was.

        Raises `FunctionCallError` for a component that is not there.
        """
        row = self._namespace.component()
        if row is not None and row.version is not None:
            return msgspec.json.decode(row.definition, type=ComponentSpec)
        if self._namespace.path:
            others = [f"'{each.path}'" for each in self.components() if each.path]
            raise FunctionCallError(
                f"There is no component at '{self._namespace.path}'. Components that are there: "
                f"{', '.join(others) or 'none'}."
            )
        return None

    def table_names(self) -> list[str]:
        """The tables of the component, without the host's own."""
        self.deployed()
        return [name for name in self._namespace.table_names() if not name.startswith("_")]

    def table(self, name: str) -> TableQuery[dict[str, object]]:
        """The documents of one table, as they are stored; of the host's own, as functions see
        them. Cron jobs of all components stand in the root.
        """
        self.deployed()
        if name.startswith("_") and name not in SYSTEM_TABLES | _CRON_TABLES:
            raise FunctionCallError(f"There is no table '{name}' to show.")
        return (self.db.system if name in SYSTEM_TABLES else self.db).query(name)
