"""The pages of cohorts: the list, and the editor.

Owns their forms. A dynamic cohort is of lines, any or all of which must match, or JSON for what is
nested; a static one is of distinct ids, one a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.flags.definition import InvalidDefinition
from posthog_local.flags.operators import OPERATOR_NAMES
from posthog_local.store import shelves
from posthog_local.store.store import Store
from posthog_local.ui.flagform import ConditionRow, Fields, condition_lines, condition_rows
from posthog_local.ui.forms import first, form_fields, see_other
from posthog_local.ui.render import Renderer

_EMPTY_ROWS = 2


class CohortForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the editor shows; `definition` is JSON where lines cannot show it whole."""

    name: str = ""
    kind: str = "AND"
    rows: tuple[ConditionRow, ...] = ()
    distinct_ids: str = ""
    definition: str = ""

    @property
    def lines(self) -> tuple[ConditionRow, ...]:
        """The lines and room for more."""
        return self.rows + (ConditionRow(),) * _EMPTY_ROWS


class CohortPages:
    """Handlers over the store."""

    def __init__(self, store: Store, renderer: Renderer) -> None:
        self._store = store
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """Every page of cohorts."""
        return [
            Route("/cohorts", self.cohorts),
            Route("/cohorts/new", self.new_cohort),
            Route("/cohorts/save", self.save, methods=["POST"]),
            Route("/cohorts/delete", self.delete, methods=["POST"]),
            Route("/cohorts/{number:int}", self.cohort),
        ]

    async def cohorts(self, request: Request) -> Response:
        flags = self._store.flags

        found = await self._store.read(
            lambda view: shelves.cohorts.sizes(view.persons, flags, flags.cohorts)
        )
        types = self._store.reader.group_types()
        return self._page(
            "cohorts.html",
            cohorts=flags.cohorts,
            sizes=found,
            types=types,
            counted=shelves.cohorts.COUNTED,
        )

    async def new_cohort(self, request: Request) -> Response:
        return self._editor(None, CohortForm())

    async def cohort(self, request: Request) -> Response:
        number = request.path_params["number"]
        known = self._store.flags.cohorts.get(number)
        if known is None:
            return self._page("missing.html", status=404, what="cohort")
        flags = self._store.flags
        members = await self._store.read(
            lambda view: shelves.cohorts.members(view.persons, flags, number)
        )
        return self._editor(number, form_of(known), members=members)

    async def save(self, request: Request) -> Response:
        fields = await form_fields(request)
        text = first(fields, "number")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
        try:
            definition = shelves.cohorts.checked(definition_of(fields))
        except InvalidDefinition as error:
            known = self._store.flags.cohorts.get(number if number is not None else -1)
            form = CohortForm() if known is None else form_of(known)
            return self._editor(number, form, error=str(error), status=400)
        saved = await self._store.change_flags(shelves.cohorts.save(number, definition))
        return see_other(f"/cohorts/{saved}")

    async def delete(self, request: Request) -> Response:
        text = first(await form_fields(request), "number")
        if text.isascii() and text.isdigit() and len(text) < 16:
            await self._store.change_flags(shelves.cohorts.delete(int(text)))
        return see_other("/cohorts")

    def _editor(
        self,
        number: int | None,
        form: CohortForm,
        *,
        status: int = 200,
        error: str = "",
        members: list[str] | None = None,
    ) -> Response:
        return self._page(
            "cohort.html",
            status=status,
            number=number,
            form=form,
            error=error,
            members=members,
            operators=OPERATOR_NAMES,
        )

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        return self._renderer.page(template, status, section="persons", **values)


def form_of(cohort: Mapping[str, Any]) -> CohortForm:
    """The form that shows this cohort."""
    name = cohort.get("name") or ""
    if "distinct_ids" in cohort:
        return CohortForm(name=name, kind="static", distinct_ids="\n".join(cohort["distinct_ids"]))
    rules = {field: value for field, value in cohort.items() if field != "name"}
    lines = rules.get("values") or []
    # PostHog nests one level deeper than it needs to.
    if len(lines) == 1 and "values" in lines[0]:
        rules, lines = lines[0], lines[0]["values"]
    rows = condition_rows(lines)
    if rows is None:
        whole = {field: value for field, value in cohort.items() if field != "name"}
        text = msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()
        return CohortForm(name=name, kind="JSON", definition=text)
    return CohortForm(name=name, kind=rules.get("type", "AND"), rows=rows)


def definition_of(fields: Fields) -> dict[str, Any]:
    """The cohort that a filled form means; `InvalidDefinition` names what is wrong."""
    named = {field: list(values) for field, values in fields.items()}
    name, kind = first(named, "name").strip(), first(named, "kind")
    if not name:
        raise InvalidDefinition("a cohort needs a name")
    match kind:
        case "static":
            ids = [line.strip() for line in first(named, "distinct_ids").splitlines()]
            return {"name": name, "distinct_ids": [one for one in ids if one]}
        case "JSON":
            try:
                given = json.loads(first(named, "definition"))
            except ValueError as error:
                raise InvalidDefinition(f"the definition is not JSON: {error}") from error
            if not isinstance(given, dict):
                raise InvalidDefinition("the definition must be a JSON object")
            return {**given, "name": name}
        case "AND" | "OR":
            lines = condition_lines(fields)
            if not lines:
                raise InvalidDefinition("a cohort of properties needs at least one line")
            return {"name": name, "type": kind, "values": lines}
        case _:
            raise InvalidDefinition(f"{kind!r} is no kind of cohort")
