"""Feature flags through PostHog's API: list, create, change, delete, and evaluate for somebody.

Owns the shape of a flag there and the rules of a change. A change that names a version which is no
longer the newest is refused, so that nobody overwrites what they have not seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from posthog_local.api.door import ApiError, Door, body_of, bounds, not_found, page
from posthog_local.api.project import USER
from posthog_local.flags.evaluate import Evaluation
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time
from posthog_local.store import shelves
from posthog_local.store.shelves.flags import StaleVersion, StoredFlag
from posthog_local.store.store import Store
from posthog_local.store.subject import subject_of
from posthog_local.store.views import View

# What a caller may say; the rest of what they send, as when they send back what they got, is ours.
_WRITABLE = frozenset(
    [
        "key",
        "name",
        "active",
        "deleted",
        "filters",
        "ensure_experience_continuity",
        "bucketing_identifier",
        "evaluation_runtime",
        "evaluation_contexts",
        "has_experiment",
        "tags",
    ]
)


class FlagApi:
    """Handlers over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        reasons = door.asked(self.evaluation_reasons)
        yield door.of_project("/feature_flags/evaluation_reasons", GET=reasons)
        yield door.of_project("/feature_flags/my_flags", GET=door.asked(self.my_flags))
        yield door.of_project("/feature_flags", GET=door.asked(self.flags), POST=self.create)
        yield door.of_project("/feature_flags/{id}", GET=door.asked(self.flag), PATCH=self.change)

    def flags(self, view: View, request: Request) -> Response:
        """Flags, the newest first; `search` is any part of key or name."""
        limit, offset = bounds(request)
        search = request.query.get("search", "").lower()
        active = {"true": True, "false": False}.get(request.query.get("active", ""))
        found = [
            one
            for one in shelves.flags.stored(view.connection)
            if search in f"{one.definition['key']} {one.definition.get('name')}".lower()
            and active in (None, one.definition["active"])
        ]
        newest = [_shown(one) for one in reversed(found)]
        return page(request, newest[offset : offset + limit], len(newest))

    def flag(self, view: View, request: Request) -> Response:
        """One flag, by its number."""
        return json_response(_shown(_found(view, request)))

    async def create(self, request: Request) -> Response:
        """Makes a flag."""
        given = _given(request)
        for name in ("key", "filters"):
            if not given.get(name):
                raise ApiError(400, "required", "This field is required.", name)
        if self._store.flags.get(str(given["key"])) is not None:
            raise ApiError(400, "unique", "There is already a feature flag with this key.", "key")
        saved = await self._store.change_flags(shelves.flags.save(given, _now_us()))
        made = await self._store.read(
            lambda view: shelves.flags.stored_one(view.connection, saved["id"])
        )
        assert made is not None
        return json_response(_shown(made), 201)

    async def change(self, request: Request) -> Response:
        """Changes fields of a flag; `deleted: true` deletes it."""
        flag = await self._store.read(lambda view: _found(view, request))
        given = _given(request)
        if given.get("deleted") is True:
            await self._store.change_flags(shelves.flags.delete(flag.definition["key"]))
            return json_response({**_shown(flag), "deleted": True})
        known = self._store.flags.get(str(given.get("key", "")))
        if known is not None and known["id"] != flag.definition["id"]:
            raise ApiError(400, "unique", "There is already a feature flag with this key.", "key")
        version = body_of(request, dict[str, Any]).get("version")
        job = shelves.flags.change(flag.definition["id"], given, version, _now_us())
        try:
            changed = await self._store.change_flags(job)
        except StaleVersion as stale:
            raise ApiError(409, "conflict", str(stale), "version") from stale
        if changed is None:
            raise not_found()
        return json_response(_shown(changed))

    def evaluation_reasons(self, view: View, request: Request) -> Response:
        """Every flag for one distinct id, with the reason."""
        distinct_id = request.query.get("distinct_id", "")
        if not distinct_id:
            raise ApiError(400, "required", "distinct_id is missing.", "distinct_id")
        found = self._evaluate(view, distinct_id, _groups(request))
        return json_response({one.flag.key: _reasoned(one) for one in found})

    def my_flags(self, view: View, request: Request) -> Response:
        """Every flag for the one user."""
        stored = {one.definition["id"]: one for one in shelves.flags.stored(view.connection)}
        found = self._evaluate(view, str(USER["distinct_id"]), _groups(request))
        return json_response(
            [
                {"feature_flag": _shown(stored[one.flag.id]), "value": one.value}
                for one in found
                if one.flag.id in stored
            ]
        )

    def _evaluate(self, view: View, distinct_id: str, groups: dict[str, str]) -> list[Evaluation]:
        subject = subject_of(view.events, distinct_id, groups)
        return self._store.flags.evaluate(subject, view.events.group_types(), datetime.now(UTC))


def _given(request: Request) -> dict[str, Any]:
    body = body_of(request, dict[str, Any])
    return {name: value for name, value in body.items() if name in _WRITABLE}


def _found(view: View, request: Request) -> StoredFlag:
    text = request.path_values["id"]
    if text.isascii() and text.isdigit() and len(text) < 16:
        found = shelves.flags.stored_one(view.connection, int(text))
        if found is not None:
            return found
    raise not_found()


def _groups(request: Request) -> dict[str, str]:
    text = request.query.get("groups")
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        raise ApiError(400, "invalid_input", "groups is JSON: type to key.", "groups") from None


def _shown(flag: StoredFlag) -> dict[str, Any]:
    definition = flag.definition
    groups = definition["filters"].get("groups") or []
    simple = len(groups) == 1 and not groups[0].get("properties")
    return {
        "experiment_set": [],
        **definition,
        "rollout_percentage": groups[0].get("rollout_percentage") if simple else None,
        "is_simple_flag": simple and not definition["filters"].get("multivariate"),
        "status": "ACTIVE" if definition["active"] else "INACTIVE",
        "created_at": format_time(flag.created_at_us),
        "updated_at": format_time(flag.updated_at_us),
        "created_by": USER,
        "can_edit": True,
    }


def _reasoned(one: Evaluation) -> dict[str, Any]:
    reason = {"reason": one.code.value, "condition_index": one.condition_index}
    return {"value": one.value, "evaluation": reason}


def _now_us() -> int:
    return time.time_ns() // 1000
