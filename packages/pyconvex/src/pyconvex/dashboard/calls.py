"""The page that runs a function: its arguments, as whom, and what came of it.

Owns reading what was typed. Never runs anything for a GET. One invariant: a call is made as every
call of an administrator is, so it meets the same validators and limits and stands in the same logs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from pyconvex.dashboard import argtypes
from pyconvex.dashboard.answers import AnswerPages
from pyconvex.dashboard.cells import whole
from pyconvex.dashboard.contents import FUNCTIONS
from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.questions import Questions, RunsQueries, Unanswered
from pyconvex.dashboard.render import Renderer
from pyconvex.dashboard.runs import Filter, RequestRuns, by_request, chosen
from pyconvex.identity import Admin, AuthenticationError, User
from pyconvex.runlog.recent import RecentRuns
from pyconvex.runtime.calls import Failure, FunctionCall, FunctionKind, Outcome
from pyconvex.runtime.notation import canonical_path
from pyconvex.values import InvalidValue, codec

PATH = "/dashboard/functions/run"
#: Characters of a result; what is longer is for a program to read.
MAX_RESULT = 200_000
#: Who acts when an identity doesn't say who issued it, as in `pyconvex run --identity`.
_TEST_ISSUER = "https://convex.test"


class RunsFunctions(RunsQueries, Protocol):
    """What runs functions: a `Host`."""

    async def run_mutation(self, call: FunctionCall) -> Outcome:
        """Run a mutation until it commits or fails."""

    async def run_action(self, call: FunctionCall) -> Outcome:
        """Run an action, once."""


class Typed(msgspec.Struct, frozen=True):
    """What stands in the form, and what is wrong with it."""

    arguments: str
    identity: str = ""
    arguments_problem: str = ""
    identity_problem: str = ""


class Ended(msgspec.Struct, frozen=True):
    """How a call ended: its result, or its error with the data that clients get."""

    request_id: str
    result: str = ""
    error: str = ""
    data: str = ""
    requests: Sequence[RequestRuns] = ()
    is_cut: bool = False


class CallPages:
    """The page that runs functions. `acts_as` makes a user of an identity's JSON."""

    def __init__(
        self,
        host: RunsFunctions,
        acts_as: Callable[[bytes], User],
        recent: RecentRuns,
        door: Door,
        renderer: Renderer,
    ) -> None:
        self._host = host
        self._acts_as = acts_as
        self._recent = recent
        self._ask = Questions(host)
        self._answers = AnswerPages(door, renderer)
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """The form, and where it is sent."""
        return [
            Route(PATH, self._answers.of(FUNCTIONS, self.form), methods=["GET"]),
            Route(PATH, self._answers.of(FUNCTIONS, self.run), methods=["POST"]),
        ]

    async def form(self, visit: Visit) -> Response:
        """What the function takes, with an example of it."""
        spec = await self._spec(visit)
        return self._page(visit, spec, Typed(argtypes.example(spec.get("args"))))

    async def run(self, visit: Visit) -> Response:
        """Run it, and show what came of it."""
        spec = await self._spec(visit)
        typed = Typed(visit.form.text("arguments") or "{}", visit.form.text("identity"))
        try:
            identity = Admin(self._acts_as(_identity(typed.identity)) if typed.identity else None)
        except (AuthenticationError, ValueError) as error:
            typed = msgspec.structs.replace(typed, identity_problem=str(error))
        if (problem := _problem(typed.arguments)) is not None:
            typed = msgspec.structs.replace(typed, arguments_problem=problem)
        if typed.arguments_problem or typed.identity_problem:
            return self._page(visit, spec, typed, status=400)
        call = FunctionCall(
            kind=_kind(spec),
            path=canonical_path(_name(visit)),
            args=typed.arguments.encode(),
            identity=identity,
            request_id=secrets.token_hex(8),
            origin="tester",
            component=_component(visit),
            public_only=False,
            client="dashboard",
        )
        outcome = await self._outcome(call)
        return self._page(visit, spec, typed, ended=self._ended(call.request_id, outcome))

    async def _outcome(self, call: FunctionCall) -> Outcome:
        match call.kind:
            case "query":
                return await self._host.run_query(call)
            case "mutation":
                return await self._host.run_mutation(call)
            case _:
                return await self._host.run_action(call)

    async def _spec(self, visit: Visit) -> dict[str, Any]:
        name, component = _name(visit), _component(visit)
        for one in await self._ask.ask("cli/modules:apiSpec", component=component):
            if str(one.get("identifier", "")).replace(".js:", ":") == name:
                return cast(dict[str, Any], one)
        raise Unanswered(
            f"There is no function {name or 'without a name'}"
            f"{f' in {component}' if component else ''}, or not any more: nothing was run."
        )

    def _ended(self, request_id: str, outcome: Outcome) -> Ended:
        wanted = Filter(request=request_id)
        runs = [run for one in self._recent.after(0) if (run := chosen(one, wanted)) is not None]
        if isinstance(outcome, Failure):
            data = "" if outcome.data is None else whole(codec.decode(outcome.data))
            message = outcome.message.strip()
            return Ended(request_id, error=message, data=data, requests=by_request(runs))
        result = whole(codec.decode(outcome.value))
        return Ended(
            request_id,
            result=result[:MAX_RESULT],
            is_cut=len(result) > MAX_RESULT,
            requests=by_request(runs),
        )

    def _page(
        self,
        visit: Visit,
        spec: dict[str, Any],
        typed: Typed,
        *,
        ended: Ended | None = None,
        status: int = 200,
    ) -> Response:
        return self._renderer.page(
            "call.html",
            visit,
            FUNCTIONS.name,
            status,
            name=_name(visit),
            component=_component(visit),
            kind=_kind(spec),
            is_public=spec["visibility"]["kind"] == "public",
            arguments=argtypes.fields(spec.get("args")),
            returns=argtypes.written(spec["returns"]) if spec.get("returns") else "any",
            typed=typed,
            ended=ended,
        )


def _name(visit: Visit) -> str:
    return visit.request.query_params.get("function", "")


def _component(visit: Visit) -> str:
    return visit.request.query_params.get("component", "")


def _kind(spec: dict[str, Any]) -> FunctionKind:
    return cast(FunctionKind, str(spec["functionType"]).lower())


def _problem(arguments: str) -> str | None:
    """Why these are no arguments; what the function takes, the function says."""
    try:
        value = codec.decode(arguments)
    except InvalidValue as error:
        return f"Nothing was run: this is no JSON of arguments. {error}"
    if not isinstance(value, dict):
        return 'Nothing was run: arguments are one object, such as {"name": "Ada"}.'
    return None


def _identity(text: str) -> bytes:
    """The identity with what `pyconvex run --identity` adds; raises `ValueError`."""
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f'This is no JSON object, such as {{"subject": "ann"}}: {error}') from None
    return msgspec.json.encode({"issuer": _TEST_ISSUER, **told})
