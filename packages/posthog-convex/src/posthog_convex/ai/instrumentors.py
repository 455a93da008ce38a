"""Which libraries' calls of models are traced, and turning that on.

Owns finding instrumentors that are installed (entry point group `opentelemetry_instrumentor`) and
enabling each once its library is imported. Never imports a library itself. One invariant: an app
that imports none of these libraries pays for none of this.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import msgspec

GROUP = "opentelemetry_instrumentor"
#: What instrumentors that follow the conventions for generative AI are built on.
_BUILT_ON = ("opentelemetry-semantic-conventions-ai", "opentelemetry-util-genai")
#: Instrumentors whose names are not their library's module.
_MODULES = {
    "bedrock": "botocore",
    "google-generativeai": "google.generativeai",
    "google-genai": "google.genai",
    "google_genai": "google.genai",
    "langchain": "langchain_core",
    "llamaindex": "llama_index",
    "openai-agents": "agents",
    "openai_agents": "agents",
    "vertexai": "vertexai",
    "watsonx": "ibm_watsonx_ai",
    "alephalpha": "aleph_alpha_client",
}
#: Libraries that trace their own calls too, by the names of their instrumentors.
_OWN_SCOPES = {"anthropic": "com.anthropic.sdk.python"}
#: Read by instrumentors, in the process that runs functions: what was said is part of the span,
#: where privacy mode doesn't leave it out. A variable that is set wins.
_DEFAULTS = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
}


class Instrumentor(msgspec.Struct, frozen=True):
    """An instrumentor that is installed, and the module whose import turns it on."""

    name: str
    distribution: str
    module: str


def installed() -> list[Instrumentor]:
    """The instrumentors that are enabled here, pydantic-ai's own among them."""
    found = [
        Instrumentor(point.name, _distribution(point), _module(point.name))
        for point in entry_points(group=GROUP)
        if _is_about_ai(point)
    ]
    if _is_there("pydantic_ai"):
        found.append(Instrumentor("pydantic-ai", "its own instrumentation", "pydantic_ai"))
    return sorted(found, key=lambda instrumentor: instrumentor.name)


def has_sdk() -> bool:
    """Whether OpenTelemetry's SDK is installed: `pip install posthog-convex[ai]`."""
    return _is_there("opentelemetry.sdk")


def enable_all() -> bool:
    """Enable each instrumentor as soon as its library is imported; False without the SDK."""
    if not has_sdk():
        return False
    watched: dict[str, list[Callable[[], None]]] = {"opentelemetry.trace": [_provider]}
    for point in entry_points(group=GROUP):
        if _is_about_ai(point):
            watched.setdefault(_module(point.name), []).append(_enabling(point))
    watched.setdefault("pydantic_ai", []).append(_enable_pydantic_ai)
    for module, actions in watched.items():
        if module in sys.modules:
            _run(actions)
        else:
            _watch(module, actions)
    return True


class _Provider:
    """The process's provider, made at its first use."""

    def __init__(self) -> None:
        self.made: Any = None

    def __call__(self) -> Any:
        if self.made is None:
            for name, value in _DEFAULTS.items():
                os.environ.setdefault(name, value)
            self.made = True  # importing the SDK comes back here
            from posthog_convex.ai.provider import install

            self.made = install()
        return self.made


_provider = _Provider()


def _enabling(point: EntryPoint) -> Callable[[], None]:
    def enable() -> None:
        provider = _provider()
        instrumentor = point.load()()
        if not getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
            # The library is there, or this would not run; its version is the user's choice.
            instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
        if point.name in _OWN_SCOPES:
            from posthog_convex.ai.provider import superseded

            superseded.add(_OWN_SCOPES[point.name])

    return enable


def _enable_pydantic_ai() -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    if Agent._instrument_default is False:  # else the app has chosen itself
        Agent.instrument_all(InstrumentationSettings(tracer_provider=_provider()))


def _run(actions: Sequence[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception:
            print("An instrumentation could not be enabled; calls go on untraced:", file=sys.stderr)
            traceback.print_exc()


class _Watcher(importlib.abc.MetaPathFinder):
    """Runs something right after a module was imported."""

    def __init__(self) -> None:
        self.actions: dict[str, list[Callable[[], None]]] = {}
        self._looking: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.actions or name in self._looking:
            return None
        self._looking.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking.discard(name)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self.actions.pop(name))
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, actions: Sequence[Callable[[], None]]) -> None:
        self._loader = loader
        self._actions = actions

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _run(self._actions)


_watcher = _Watcher()


def _watch(module: str, actions: list[Callable[[], None]]) -> None:
    if _watcher not in sys.meta_path:
        sys.meta_path.insert(0, _watcher)
    _watcher.actions[module] = actions


def _is_about_ai(point: EntryPoint) -> bool:
    needed = (point.dist.requires if point.dist is not None else None) or []
    return any(requirement.lower().startswith(_BUILT_ON) for requirement in needed)


def _module(name: str) -> str:
    return _MODULES.get(name, name.replace("-", "_"))


def _distribution(point: EntryPoint) -> str:
    return "" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
