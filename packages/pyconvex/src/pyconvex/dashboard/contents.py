"""Pages about what is in the deployment: functions, tables, schedules, variables. To read only.

Owns these pages. Never changes anything. One invariant: of a variable its name is shown, never its
value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from pyconvex.dashboard.door import Door, Inside, Visit
from pyconvex.dashboard.questions import Questions, Unanswered, shown
from pyconvex.dashboard.render import Renderer, Section
from pyconvex.runtime.calls import HostError

FUNCTIONS = Section("functions", "/dashboard/functions", "Functions")
TABLES = Section("tables", "/dashboard/tables", "Tables")
SCHEDULES = Section("schedules", "/dashboard/schedules", "Schedules")
VARIABLES = Section("variables", "/dashboard/variables", "Variables")
SECTIONS = (FUNCTIONS, TABLES, SCHEDULES, VARIABLES)

#: Documents of one page.
PAGE = 50
#: Jobs of one component.
JOBS = 100
#: Characters of a value in a table; the rest is shown when it is opened.
CELL = 120
_FIRST = ("_id", "_creationTime")


class ContentPages:
    """The pages that only show."""

    def __init__(self, questions: Questions, door: Door, renderer: Renderer) -> None:
        self._ask = questions
        self._door = door
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """All of them are read with GET."""
        of = self._page_of
        return [
            Route("/dashboard/functions", of(FUNCTIONS, self.functions), methods=["GET"]),
            Route("/dashboard/tables", of(TABLES, self.tables), methods=["GET"]),
            Route("/dashboard/tables/{table}", of(TABLES, self.table), methods=["GET"]),
            Route("/dashboard/schedules", of(SCHEDULES, self.schedules), methods=["GET"]),
            Route("/dashboard/variables", of(VARIABLES, self.variables), methods=["GET"]),
        ]

    async def functions(self, visit: Visit) -> Response:
        """What can be called, and by whom."""
        found = [
            (component, await self._ask.ask("cli/modules:apiSpec", component=component))
            for component in await self._ask.components()
        ]
        described = [
            (component, [_function(each) for each in spec]) for component, spec in found if spec
        ]
        return self._renderer.page("functions.html", visit, FUNCTIONS.name, components=described)

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
        """The documents of one table, the newest first, page by page."""
        query = visit.request.query_params
        table, component = visit.request.path_params["table"], query.get("component", "")
        documents, following = await self._ask.documents(
            table, component, query.get("cursor") or None, PAGE
        )
        fields = {name for document in documents for name in document} - set(_FIRST)
        return self._renderer.page(
            "table.html",
            visit,
            TABLES.name,
            table=table,
            component=component,
            columns=[*_FIRST, *sorted(fields)],
            documents=[_cells(document) for document in documents],
            following=following,
            later="cursor" in query,
            cell=CELL,
        )

    async def schedules(self, visit: Visit) -> Response:
        """Functions that run later, the last scheduled first, and cron jobs."""
        crons, _ = await self._ask.documents("_cron_jobs", "", None, PAGE)
        jobs = [
            (
                component,
                (await self._ask.documents("_scheduled_functions", component, None, JOBS))[0],
            )
            for component in await self._ask.components()
        ]
        return self._renderer.page(
            "schedules.html",
            visit,
            SCHEDULES.name,
            crons=sorted(crons, key=lambda cron: float(cron["due"])),
            components=[each for each in jobs if each[1]],
            limit=JOBS,
        )

    async def variables(self, visit: Visit) -> Response:
        """The names of the deployment's variables."""
        found = await self._ask.ask("cli/queryEnvironmentVariables")
        names = [str(each["name"]) for each in found]
        return self._renderer.page("variables.html", visit, VARIABLES.name, names=names)

    def _page_of(self, section: Section, page: Inside) -> Callable[..., Awaitable[Response]]:
        async def asked(visit: Visit) -> Response:
            try:
                return await page(visit)
            except Unanswered as none:
                return self._no_answer(visit, section, 404, str(none))
            except HostError as error:
                return self._no_answer(visit, section, error.status, error.message)

        return self._door.inside(asked)

    def _no_answer(self, visit: Visit, section: Section, status: int, why: str) -> Response:
        return self._renderer.page("unanswered.html", visit, section.name, status, why=why)


def _function(spec: dict[str, Any]) -> dict[str, str]:
    """A row of the list: of a function, or of a route of HTTP actions."""
    if spec["functionType"] == "HttpAction":
        return {
            "name": spec["path"],
            "kind": f"HTTP {spec['method']}",
            "seen": "public",
            "args": "",
        }
    arguments = spec.get("args") or {}
    fields = arguments.get("value") if arguments.get("type") == "object" else None
    return {
        "name": str(spec["identifier"]).replace(".js:", ":"),
        "kind": str(spec["functionType"]).lower(),
        "seen": spec["visibility"]["kind"],
        "args": ", ".join(_argument(name, one) for name, one in (fields or {}).items()),
    }


def _argument(name: str, described: dict[str, Any]) -> str:
    return f"{name}?" if described.get("optional") else name


def _cells(document: dict[str, Any]) -> dict[str, str]:
    return {name: shown(value) for name, value in document.items()}
