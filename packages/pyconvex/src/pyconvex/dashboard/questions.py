"""What pages ask the deployment about itself: the queries that tools ask, too.

Owns asking them and reading the answers. Never writes and never runs a function of the app. One
invariant: what is asked takes the way of every query, so a page sees one snapshot and holds up
nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Protocol

from pyconvex.identity import Admin
from pyconvex.runtime.calls import Failure, FunctionCall, Outcome
from pyconvex.runtime.notation import canonical_path
from pyconvex.values import codec

#: More components than an app has.
_MANY = 1000


class Unanswered(Exception):
    """The deployment has no answer; the message is its own."""


class RunsQueries(Protocol):
    """What runs queries: a `Host`."""

    async def run_query(self, call: FunctionCall) -> Outcome:
        """Run a query on the newest snapshot."""


class Questions:
    """Asks one deployment."""

    def __init__(self, host: RunsQueries) -> None:
        self._host = host

    async def ask(
        self, path: str, arguments: Mapping[str, Any] | None = None, component: str = ""
    ) -> Any:
        """The answer to a query below `_system/`, as plain values; raises `Unanswered`."""
        outcome = await self._host.run_query(
            FunctionCall(
                kind="query",
                path=canonical_path(f"_system/{path}"),
                args=codec.encode(dict(arguments or {})),
                identity=Admin(),
                request_id=secrets.token_hex(8),
                origin="httpApi",
                component=component,
                public_only=False,
                client="dashboard",
            )
        )
        if isinstance(outcome, Failure):
            said = outcome.message.strip().partition("\n")[0]
            raise Unanswered(said.removeprefix("Uncaught ").removeprefix("FunctionCallError: "))
        return codec.decode(outcome.value)

    async def components(self) -> list[str]:
        """The paths of all components, the app's own "" first."""
        found = await self.ask("frontend/components:list")
        return ["", *sorted(str(each["path"]) for each in found[:_MANY])]

    async def documents(
        self, table: str, component: str, cursor: str | None, size: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The newest documents behind a cursor, and the cursor behind those; None at the end."""
        options = {"cursor": cursor, "numItems": size}
        page = await self.ask(
            "cli/tableData",
            {"table": table, "order": "desc", "paginationOpts": options},
            component,
        )
        return page["page"], None if page["isDone"] else str(page["continueCursor"])
