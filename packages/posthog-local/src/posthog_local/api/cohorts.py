"""Cohorts through PostHog's API.

Owns their shape there: filters for dynamic ones, listed distinct ids for static ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from posthog_local.api.door import ApiError, Door, body_of, bounds, not_found, page
from posthog_local.flags.book import FlagBook
from posthog_local.flags.definition import InvalidDefinition
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.store import shelves
from posthog_local.store.store import Store
from posthog_local.store.views import View


class CohortApi:
    """Handlers over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        yield door.of_project("/cohorts", GET=door.asked(self.cohorts), POST=self.create)
        yield door.of_project("/cohorts/{id}", GET=door.asked(self.cohort), PATCH=self.change)

    def cohorts(self, view: View, request: Request) -> Response:
        """All cohorts."""
        limit, offset = bounds(request)
        flags = self._store.flags
        wanted = list(flags.cohorts)[offset : offset + limit]
        return page(request, _shown(view, flags, wanted), len(flags.cohorts))

    def cohort(self, view: View, request: Request) -> Response:
        """One cohort, with how many persons are in it."""
        return json_response(_shown(view, self._store.flags, [self._found(request)])[0])

    async def create(self, request: Request) -> Response:
        """Makes a cohort."""
        definition = _definition(body_of(request, dict[str, Any]), {})
        number = await self._store.change_flags(shelves.cohorts.save(None, definition))
        return json_response(await self._answer(number), 201)

    async def change(self, request: Request) -> Response:
        """Changes a cohort; `deleted: true` deletes it."""
        number = self._found(request)
        given = body_of(request, dict[str, Any])
        shown = await self._answer(number)
        if given.get("deleted") is True:
            await self._store.change_flags(shelves.cohorts.delete(number))
            return json_response({**shown, "deleted": True})
        definition = _definition(given, self._store.flags.cohorts[number])
        await self._store.change_flags(shelves.cohorts.save(number, definition))
        return json_response(await self._answer(number))

    async def _answer(self, number: int) -> dict[str, Any]:
        flags = self._store.flags
        return await self._store.read(lambda view: _shown(view, flags, [number])[0])

    def _found(self, request: Request) -> int:
        text = request.path_values["id"]
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
        if number not in self._store.flags.cohorts:
            raise not_found()
        return number


def _shown(view: View, flags: FlagBook, numbers: Sequence[int]) -> list[dict[str, Any]]:
    sizes = shelves.cohorts.sizes(view.persons, flags, numbers)
    return [_cohort(number, flags.cohorts[number], sizes[number]) for number in numbers]


def _cohort(number: int, cohort: dict[str, Any], size: int) -> dict[str, Any]:
    static = "distinct_ids" in cohort
    rules = {name: cohort[name] for name in ("type", "values") if name in cohort}
    return {
        "id": number,
        "name": cohort.get("name") or f"Cohort {number}",
        "is_static": static,
        "filters": {} if static else {"properties": rules},
        "count": size,
        "deleted": False,
    }


def _definition(given: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    name = given.get("name", known.get("name"))
    if not isinstance(name, str) or not name:
        raise ApiError(400, "required", "This field is required.", "name")
    rest: Any = {field: value for field, value in known.items() if field != "name"}
    if given.get("is_static") is True or "distinct_ids" in given:
        rest = {"distinct_ids": given.get("distinct_ids") or rest.get("distinct_ids") or []}
    elif "filters" in given:
        filters = given["filters"]
        rest = filters.get("properties") if isinstance(filters, dict) else None
    if not rest:
        raise ApiError(400, "required", "Send filters, or is_static.", "filters")
    try:
        return shelves.cohorts.checked({"name": name, **rest})
    except (InvalidDefinition, TypeError) as error:
        raise ApiError(400, "invalid_input", str(error), "filters") from error
