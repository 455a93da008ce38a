"""The part of `pyconvex doctor` about AI traces: what is traced, by what, and what is missing.

Owns these checks. Never imports a library that calls models. One invariant: what it names is what
functions will use, as it looks at the same entry points in the same environment.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from posthog_convex.ai.choices import is_disabled, is_private
from posthog_convex.ai.instrumentors import has_sdk, installed
from pyconvex.cli.findings import Finding, Inspected, Level

ABOUT = "AI traces"
#: Libraries that need an instrumentation, and the one to install.
_WANTED = {
    "openai": "opentelemetry-instrumentation-openai-v2",
    "anthropic": "opentelemetry-instrumentation-anthropic",
}


def check(inspected: Inspected) -> Iterator[Finding]:
    """Look at the instrumentations that are installed beside the host."""
    found = installed()
    libraries = [name for name in _WANTED if importlib.util.find_spec(name) is not None]
    if not found and not libraries:
        return  # an app without models
    if not has_sdk():
        text = 'models are called untraced: pip install "posthog-convex[ai]"'
        yield Finding(Level.WARNING, ABOUT, text)
        return
    if is_disabled(inspected.variables.get):
        text = "nothing is traced: POSTHOG_DISABLE_AI_TRACING is set"
        yield Finding(Level.INFO, ABOUT, text)
        return
    for one in found:
        text = f"{one.name} ({one.distribution}), from the import of {one.module} on"
        yield Finding(Level.OK, ABOUT, text)
    traced = {one.module for one in found}
    for name in libraries:
        if name not in traced:
            text = f"calls of {name}'s client are not traced: pip install {_WANTED[name]}"
            yield Finding(Level.INFO, ABOUT, text)
    if is_private(inspected.variables.get):
        text = "what was said is left out: POSTHOG_AI_PRIVACY_MODE is set"
        yield Finding(Level.INFO, ABOUT, text)
