"""What is traced of a call, and whose it is: the app's settings and the call's own choice.

Owns these choices. Never sends anything. One invariant: the more private choice wins, so a call
can't turn on again what the app turned off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from pyconvex.runlog.otlp import plain, to_json

#: Set to 1, what was said to and by models is left out.
PRIVACY_MODE = "POSTHOG_AI_PRIVACY_MODE"
#: Set to 1, nothing about AI is traced.
DISABLED = "POSTHOG_DISABLE_AI_TRACING"

_YES = frozenset({"1", "true", "yes", "on"})


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the spans that begin in a block."""

    privacy_mode: bool = False
    tracing: bool = True
    #: Attributes of each span.
    attributes: dict[str, Any] = {}


_current: ContextVar[Choices] = ContextVar("posthog_ai_choices", default=Choices())  # noqa: B039  # frozen


@contextmanager
def options(
    ctx: object,
    *,
    privacy_mode: bool | None = None,
    tracing: bool | None = None,
    distinct_id: str | None = None,
    session_id: str | None = None,
    groups: Mapping[str, str] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """How AI spans that begin inside the block are reported, also those of libraries.

    With `privacy_mode`, what was said to and by models stays here; with `tracing=False` nothing is
    reported at all. `distinct_id` is the person in place of `ctx.user_id`, `session_id` the AI
    session (`$ai_session_id`), such as a conversation; `groups` and `properties` go on each event.
    Blocks nest: what an inner one leaves out, the outer one decides.

        with posthog_ai.options(ctx, privacy_mode=True, properties={"plan": "pro"}):
            answer = await agent.run(question)
    """
    outer = _current.get()
    added: dict[str, Any] = plain(properties or {})
    if distinct_id is not None:
        added["posthog.distinct_id"] = distinct_id
    if session_id is not None:
        added["$ai_session_id"] = session_id
    if groups:
        added["$groups"] = to_json(dict(groups)).decode()
    chosen = Choices(
        privacy_mode=outer.privacy_mode if privacy_mode is None else privacy_mode,
        tracing=outer.tracing if tracing is None else tracing,
        attributes={**outer.attributes, **added},
    )
    token = _current.set(chosen)
    try:
        yield
    finally:
        _current.reset(token)


#: What holds here.
chosen: Callable[[], Choices] = _current.get


def is_private(read: Callable[[str], str | None]) -> bool:
    """Whether the app leaves out what was said."""
    return _says_yes(read(PRIVACY_MODE))


def is_disabled(read: Callable[[str], str | None]) -> bool:
    """Whether the app traces no AI."""
    return _says_yes(read(DISABLED))


def _says_yes(value: str | None) -> bool:
    return (value or "").strip().lower() in _YES
