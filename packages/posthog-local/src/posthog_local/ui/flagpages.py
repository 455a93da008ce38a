"""The pages of feature flags: the list, the editor, and a try on somebody.

Owns their forms. Changes go through the same store calls as the control API, and are in force when
the browser is sent on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.flags.definition import InvalidDefinition
from posthog_local.flags.evaluate import Evaluation
from posthog_local.flags.operators import OPERATOR_NAMES
from posthog_local.store import shelves
from posthog_local.store.reader import Reader
from posthog_local.store.store import Store
from posthog_local.store.subject import subject_of
from posthog_local.ui.flagform import FlagForm, SetRows, definition_of, form_of
from posthog_local.ui.forms import first, form_fields, see_other
from posthog_local.ui.render import Renderer


class FlagPages:
    """Handlers of the flag pages over the store."""

    def __init__(self, store: Store, renderer: Renderer) -> None:
        self._store = store
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """Every page of flags."""
        return [
            Route("/feature_flags", self.flags),
            Route("/feature_flags/new", self.new_flag),
            Route("/feature_flags/save", self.save_flag, methods=["POST"]),
            Route("/feature_flags/toggle", self.toggle_flag, methods=["POST"]),
            Route("/feature_flags/delete", self.delete_flag, methods=["POST"]),
            Route("/feature_flags/{key:path}", self.flag),
        ]

    async def flags(self, request: Request) -> Response:
        return self._page("flags.html", flags=self._store.flags.flags)

    async def new_flag(self, request: Request) -> Response:
        return self._editor(None, FlagForm())

    async def flag(self, request: Request) -> Response:
        flag = self._store.flags.get(request.path_params["key"])
        if flag is None:
            return self._page("missing.html", status=404, what="flag")
        tried = request.query_params.get("distinct_id", "").strip()
        groups = request.query_params.get("groups", "").strip()
        if not tried:
            return self._editor(flag, form_of(flag))
        try:
            keys = msgspec.json.decode(groups or "{}", type=dict[str, str])
        except msgspec.MsgspecError:
            error = 'groups are JSON, type to key: {"company": "acme"}'
            return self._editor(flag, form_of(flag), tried=tried, groups=groups, odd=error)
        results = evaluations(self._store, self._store.reader, tried, keys)
        result = next((one for one in results if one.flag.key == flag["key"]), None)
        return self._editor(flag, form_of(flag), tried=tried, groups=groups, result=result)

    async def save_flag(self, request: Request) -> Response:
        fields = await form_fields(request)
        try:
            given = _given(fields)
            saved = await self._store.change_flags(shelves.flags.save(given, _now_us()))
        except InvalidDefinition as error:
            known = self._store.flags.get(first(fields, "key"))
            form = form_of(known) if known is not None else FlagForm()
            return self._editor(known, form, error=str(error), status=400)
        return see_other(f"/feature_flags/{quote(saved['key'], safe='')}")

    async def toggle_flag(self, request: Request) -> Response:
        flag = self._store.flags.get(first(await form_fields(request), "key"))
        if flag is not None:
            changed = {**flag, "active": not flag["active"]}
            await self._store.change_flags(shelves.flags.save(changed, _now_us()))
        return see_other("/feature_flags")

    async def delete_flag(self, request: Request) -> Response:
        key = first(await form_fields(request), "key")
        await self._store.change_flags(shelves.flags.delete(key))
        return see_other("/feature_flags")

    def _editor(
        self,
        flag: dict[str, Any] | None,
        form: FlagForm | None,
        *,
        status: int = 200,
        error: str = "",
        tried: str = "",
        groups: str = "",
        odd: str = "",
        result: Evaluation | None = None,
    ) -> Response:
        return self._page(
            "flag.html",
            status=status,
            flag=flag,
            form=form,
            operators=OPERATOR_NAMES,
            cohorts=self._store.flags.cohorts,
            room=SetRows(),
            error=error,
            tried=tried,
            groups=groups,
            odd=odd,
            result=result,
        )

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        return self._renderer.page(template, status, section="flags", **values)


def evaluations(
    store: Store, reader: Reader, distinct_id: str, groups: Mapping[str, str] | None = None
) -> list[Evaluation]:
    """Every flag for the person with this id, from what `reader` knows of them."""
    subject = subject_of(reader, distinct_id, groups)
    return store.flags.evaluate(subject, reader.group_types(), datetime.now(UTC))


def _given(fields: dict[str, list[str]]) -> dict[str, Any]:
    text = first(fields, "definition").strip()
    if not text:
        return definition_of(fields)
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InvalidDefinition(f"the definition is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidDefinition("the definition must be a JSON object")
    return given


def _now_us() -> int:
    return time.time_ns() // 1000
