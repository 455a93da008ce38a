"""Settings of log streams as they come in and go out.

Owns reading them from a body, what is shown of them, and how forms ask for them. Never keeps any.
One invariant: what a field calls a secret is never shown again.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from pyconvex.log_streams import ConfigRefused, Sink, topics
from pyconvex.log_streams.registry import sinks
from pyconvex.runtime.calls import HostError

#: Topics that are there and can't be chosen.
_INTERNAL = frozenset({"verification", topics.EXCEPTION, topics.EVENTS_DROPPED})


def kind_named(body: Mapping[str, Any]) -> tuple[str, type[Sink]]:
    """The kind of stream that a body is about; raises `HostError`."""
    name = body.get("logStreamType")
    if name is None:
        raise _bad("it has no field `logStreamType`")
    kind = sinks().get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        known = ", ".join(f"`{name}`" for name in sinks())
        raise _bad(f"unknown variant `{str(name)[:60]}` of logStreamType, expected one of {known}")
    return name, kind


def given_settings(
    kind: type[Sink], body: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> dict[str, str | int | float | bool | None]:
    """The settings of a body, over those that were there before; raises `HostError`.

    What is left out stays as it was, `null` and empty text unset; `null` for what is required
    leaves it, too, as Convex does.
    """
    was, config = before or {}, dict[str, str | int | float | bool | None]()
    for field in kind.fields:
        value = body.get(field.name, was.get(field.name))
        if value is None and field.required:
            value = was.get(field.name)
        value = None if value == "" else value
        try:
            field.check(value)
        except ConfigRefused as refused:
            raise HostError(400, refused.code, refused.message) from None
        config[field.name] = value
    return config | {name: before[name] for name in kind.generated if before}


def given_topics(kind: type[Sink], chosen: Any) -> tuple[str, ...] | None:
    """The topics that a body chooses, in their order; raises `HostError`."""
    if kind.topics is not None or chosen is None:
        return None
    if not isinstance(chosen, list) or not all(isinstance(topic, str) for topic in chosen):
        raise _bad("topics must be a list of topics, or null for all")
    if not chosen:
        raise HostError(
            400, "EmptyLogTopics", "A log stream must be subscribed to at least one topic."
        )
    for topic in chosen:
        if topic in _INTERNAL:
            raise HostError(
                400, "InvalidLogTopic", f"Log stream topic `{topic}` cannot be subscribed to"
            )
        if topic not in topics.SUBSCRIBABLE:
            raise _bad(f"unknown topic `{topic[:60]}`")
    return tuple(topic for topic in topics.SUBSCRIBABLE if topic in chosen)


def public_settings(kind: type[Sink], config: Mapping[str, Any]) -> dict[str, Any]:
    """What the API tells of settings: no secrets but those that receivers need from here."""
    shown = {
        field.name: config[field.name]
        for field in kind.fields
        if field.kind != "secret" and config.get(field.name) is not None
    }
    return shown | {name: config[name] for name in kind.generated if name in config}


def field_forms(name: str, kind: type[Sink], variables: Mapping[str, str]) -> dict[str, Any]:
    """A kind of stream as a form asks for it, begun with what the app's variables say."""
    return {
        "logStreamType": name,
        "title": kind.title,
        "summary": kind.summary,
        "choosesTopics": kind.topics is None,
        "fields": [
            {
                **msgspec.to_builtins(field),
                "prefill": variables.get(field.prefill_env) if field.prefill_env else None,
            }
            for field in kind.fields
        ],
    }


def new_secret() -> str:
    """A secret for signatures: 32 hexadecimal digits, as Convex makes them."""
    return uuid.uuid4().hex


def _bad(why: str) -> HostError:
    return HostError(400, "BadJsonBody", f"Could not read the body as a log stream: {why}.")
