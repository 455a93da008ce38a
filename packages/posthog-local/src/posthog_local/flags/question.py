"""A `/flags` or `/decide` request, read into one typed question.

Owns the fields, their aliases and their tolerance. Raises `Refusal` with PostHog's statuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.decode import Payload, decode
from posthog_local.ingest.distinct_id import text_id
from posthog_local.ingest.shapes import valid_token


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which flags, for whom, with which properties overriding the stored ones."""

    token: str
    distinct_id: str
    anon_distinct_id: str | None
    device_id: str | None
    person_properties: dict[str, Any]
    group_keys: dict[str, str]
    group_properties: dict[str, dict[str, Any]]
    flag_keys: tuple[str, ...] | None
    evaluation_contexts: frozenset[str]
    evaluation_runtime: str | None
    disabled: bool


def read_question(payload: Payload) -> Question:
    """The question that the request asks.

    Raises `Refusal`: 400 for a body that is no JSON object or names nobody, 401 for a bad token.
    """
    document = _document(payload)
    properties = _object(_first(document, "person_properties", "$properties"))
    device = _first(document, "$device_id", "device_id") or properties.get("$device_id")
    anonymous = _first(document, "$anon_distinct_id", "anon_distinct_id")
    runtime = document.get("evaluation_runtime")
    return Question(
        token=valid_token(_first(document, "token", "$token", "api_key")),
        distinct_id=_distinct_id(document),
        anon_distinct_id=text_id(anonymous) or None,
        device_id=text_id(device) or None,
        person_properties=properties,
        group_keys={
            name: text_id(key)
            for name, key in _object(_first(document, "groups", "$groups")).items()
            if key is not None and key != ""
        },
        group_properties={
            name: _object(value)
            for name, value in _object(
                _first(document, "group_properties", "$group_properties")
            ).items()
        },
        flag_keys=_flag_keys(document),
        evaluation_contexts=frozenset(
            _texts(_first(document, "evaluation_contexts", "evaluation_environments"))
        ),
        evaluation_runtime=runtime if isinstance(runtime, str) else None,
        disabled=document.get("disable_flags") in (True, "true"),
    )


def _document(payload: Payload) -> dict[str, Any]:
    try:
        document = decode(payload)
    except Refusal as refusal:
        document = _lenient(payload, refusal)
    if not isinstance(document, dict):
        raise Refusal(400, "the body must be a JSON object")
    return document


def _lenient(payload: Payload, refusal: Refusal) -> object:
    """NaN and Infinity, which PostHog's flags service tolerates in properties, read as null."""
    if refusal.status != 400 or not any(word in payload.body for word in (b"NaN", b"Infinity")):
        raise refusal
    try:
        return json.loads(payload.body, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        raise refusal from None


def _distinct_id(document: Mapping[str, Any]) -> str:
    for name in ("distinct_id", "$distinct_id"):
        if document.get(name) is not None:
            return text_id(document[name])
    raise Refusal(400, "the body has no distinct_id")


def _flag_keys(document: Mapping[str, Any]) -> tuple[str, ...] | None:
    keys = _first(document, "flag_keys_to_evaluate", "flag_keys")
    return tuple(_texts(keys)) if isinstance(keys, list) else None


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(document: Mapping[str, Any], *names: str) -> Any:
    return next((document[name] for name in names if document.get(name) is not None), None)
