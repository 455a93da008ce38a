"""Pages about what is in the deployment: functions, schedules, variables. To read only.

Owns these pages. Never changes anything. One invariant: of a variable its name is shown, never its
value.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from pyconvex.dashboard import argtypes
from pyconvex.dashboard.answers import AnswerPages
from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.questions import Questions
from pyconvex.dashboard.render import Renderer, Section

FUNCTIONS = Section("functions", "/dashboard/functions", "Functions")
SCHEDULES = Section("schedules", "/dashboard/schedules", "Schedules")
VARIABLES = Section("variables", "/dashboard/variables", "Variables")

#: Cron jobs, all there are; and scheduled functions of one component.
CRONS, JOBS = 50, 100


class ContentPages:
    """The pages that only show."""

    def __init__(self, questions: Questions, door: Door, renderer: Renderer) -> None:
        self._ask = questions
        self._answers = AnswerPages(door, renderer)
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """All of them are read with GET."""
        of = self._answers.of
        return [
            Route("/dashboard/functions", of(FUNCTIONS, self.functions), methods=["GET"]),
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
            (component, [_function(each, component) for each in spec])
            for component, spec in found
            if spec
        ]
        return self._renderer.page("functions.html", visit, FUNCTIONS.name, components=described)

    async def schedules(self, visit: Visit) -> Response:
        """Functions that run later, the last scheduled first, and cron jobs."""
        crons, _ = await self._ask.documents("_cron_jobs", "", None, CRONS)
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


def _function(spec: dict[str, Any], component: str) -> dict[str, str]:
    """A row of the list: of a function, or of a route of HTTP actions, which no page runs."""
    if spec["functionType"] == "HttpAction":
        kind = f"HTTP {spec['method']}"
        return {"name": spec["path"], "kind": kind, "seen": "public", "args": "", "run": ""}
    name = str(spec["identifier"]).replace(".js:", ":")
    asked = {"function": name, **({"component": component} if component else {})}
    return {
        "name": name,
        "kind": str(spec["functionType"]).lower(),
        "seen": spec["visibility"]["kind"],
        "args": ", ".join(
            f"{argument}{'?' if optional else ''}: {type}"
            for argument, (type, optional) in argtypes.fields(spec.get("args")).items()
        ),
        "run": f"{FUNCTIONS.path}/run?{urlencode(asked)}",
    }
