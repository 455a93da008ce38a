"""LLM analytics: calls of models and runs of agents inside functions, traced to PostHog.

Calls by libraries with an OpenTelemetry instrumentation need no code: install the extra `ai`. What
is here is for the rest: `options` says what is reported of a block, `capture_ai_generation` reports
a call that was made by hand. These names load late, as every process that runs functions imports
this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posthog_convex.ai.choices import options
    from posthog_convex.ai.generation import capture_ai_generation

__all__ = ["capture_ai_generation", "options"]

_HOMES = {
    "options": "posthog_convex.ai.choices",
    "capture_ai_generation": "posthog_convex.ai.generation",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
