"""The pages of tables: which there are, their documents, chosen and in pages, and one document.

Owns these pages and the choice in their address. Never changes a document. One invariant: what is
shown is all there is of a value, with its type.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.routing import Route

from pyconvex.dashboard.answers import AnswerPages
from pyconvex.dashboard.cells import cell, value_of, whole
from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.questions import Questions, Unanswered
from pyconvex.dashboard.render import Renderer, Section

TABLES = Section("tables", "/dashboard/tables", "Tables")
#: Documents of one page.
PAGE = 50
#: Conditions of one choice; more than anybody types into a form.
MAX_CONDITIONS = 8
#: Characters of a value in a table; the rest is shown when it is opened.
CELL = 120
#: What a field can be asked to be, and how people read it.
OPERATORS = {
    "eq": "is",
    "neq": "is not",
    "lt": "<",
    "lte": "≤",
    "gt": ">",
    "gte": "≥",
    "contains": "contains",
    "set": "is there",
    "unset": "is not there",
}
_FIRST = ("_id", "_creationTime")


class Wanted(msgspec.Struct, frozen=True):
    """A condition as it stands in an address."""

    field: str
    op: str
    value: str

    def told(self) -> dict[str, Any]:
        """The same for the query."""
        value = self.value if self.op == "contains" else value_of(self.value)
        return {"field": self.field, "op": self.op, "value": value}


class Choice(msgspec.Struct, frozen=True):
    """Which documents of a table somebody wants to see."""

    component: str
    conditions: list[Wanted]
    oldest_first: bool

    @classmethod
    def of(cls, query: QueryParams) -> Choice:
        """The choice in an address; conditions without a field count for nothing."""
        rows = zip(
            query.getlist("field"), query.getlist("op"), query.getlist("value"), strict=False
        )
        conditions = [
            Wanted(field.strip(), op, value.strip())
            for field, op, value in rows
            if field.strip() and op in OPERATORS
        ]
        return cls(
            query.get("component", ""),
            conditions[:MAX_CONDITIONS],
            query.get("order") == "asc",
        )

    def address(self, table_path: str, **more: str) -> str:
        """Where this choice is shown."""
        pairs: list[tuple[str, str]] = []
        if self.component:
            pairs.append(("component", self.component))
        for one in self.conditions:
            pairs += [("field", one.field), ("op", one.op), ("value", one.value)]
        if self.oldest_first:
            pairs.append(("order", "asc"))
        pairs += more.items()
        return f"{table_path}?{urlencode(pairs)}" if pairs else table_path


class DocumentPages:
    """The pages of tables."""

    def __init__(self, questions: Questions, door: Door, renderer: Renderer) -> None:
        self._ask = questions
        self._answers = AnswerPages(door, renderer)
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """All of them are read with GET."""
        of, path = self._answers.of, "/dashboard/tables"
        return [
            Route(path, of(TABLES, self.tables), methods=["GET"]),
            Route(f"{path}/{{table}}", of(TABLES, self.table), methods=["GET"]),
            Route(f"{path}/{{table}}/{{id}}", of(TABLES, self.document), methods=["GET"]),
        ]

    async def tables(self, visit: Visit) -> Response:
        """The tables of every component."""
        options = {"paginationOpts": {"cursor": None, "numItems": PAGE}}
        found = [
            (component, await self._ask.ask("cli/tables", options, component))
            for component in await self._ask.components()
        ]
        named = [(component, [each["name"] for each in page["page"]]) for component, page in found]
        return self._renderer.page(
            "tables.html", visit, TABLES.name, components=[each for each in named if each[1]]
        )

    async def table(self, visit: Visit) -> Response:
        """The documents of one table that were chosen, page by page."""
        query = visit.request.query_params
        table, choice = visit.request.path_params["table"], Choice.of(query)
        page = await self._ask.ask(
            "pyconvex/documents:page",
            {
                "table": table,
                "conditions": [one.told() for one in choice.conditions],
                "order": "asc" if choice.oldest_first else "desc",
                "paginationOpts": {"cursor": query.get("cursor") or None, "numItems": PAGE},
            },
            choice.component,
        )
        documents: list[dict[str, Any]] = page["page"]
        path = visit.request.url.path
        following = None if page["isDone"] else str(page["continueCursor"])
        return self._renderer.page(
            "table.html",
            visit,
            TABLES.name,
            table=table,
            choice=choice,
            path=path,
            operators=OPERATORS,
            columns=_columns(documents),
            known=_columns([*documents, *({one.field: None} for one in choice.conditions)]),
            rows=[{name: cell(value) for name, value in each.items()} for each in documents],
            first=choice.address(path) if "cursor" in query else None,
            following=choice.address(path, cursor=following) if following else None,
            cut_short=following is not None and len(documents) < PAGE,
            cell=CELL,
        )

    async def document(self, visit: Visit) -> Response:
        """One document, whole."""
        path, query = visit.request.path_params, visit.request.query_params
        table, id, component = path["table"], path["id"], query.get("component", "")
        asked = {"table": table, "id": id}
        found = await self._ask.ask("pyconvex/documents:get", asked, component)
        if found is None:
            raise Unanswered(f"There is no document {id} in the table {table}, or not any more.")
        return self._renderer.page(
            "document.html",
            visit,
            TABLES.name,
            table=table,
            component=component,
            id=id,
            fields=[
                (name, cell(found[name]), _indented(found[name])) for name in _columns([found])
            ],
            whole=whole(found),
        )


def _columns(documents: Iterable[dict[str, Any]]) -> list[str]:
    found = {name for document in documents for name in document} - set(_FIRST)
    return [*_FIRST, *sorted(found)]


def _indented(value: object) -> str:
    """Text as it is, everything that has parts over several lines."""
    return whole(value) if isinstance(value, dict | list) else cell(value).text
