"""The component's settings as they are in force, and where each comes from.

Owns the words for both. Never checks a value, and never shows a secret. One invariant: every
variable that the component declares is among them, so that none is in force unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from posthog_convex.component.settings import errors_per_minute, is_yes, poll_interval_s
from posthog_convex.endpoints import normalise_host
from pyconvex.cli.findings import Finding, Inspected, Level, masked

Env = Mapping[str, str]


def settings(inspected: Inspected, component: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding for each; a warning where the deployment has a variable that does not arrive."""
    path, env = component["path"], inspected.seen_by(component)
    declared = {each["name"]: each for each in component["variables"]}
    for name, shown in _SHOWN.items():
        variable = declared.get(name, {})
        if variable.get("inCode"):
            text = "as it stands in the code, in app.use"
        elif name in env:
            source = variable["source"]
            whose = "variable" if source == name else source
            text = f"{shown(env)} (the deployment's {whose})"
        elif name in _OF_THE_APP:
            found = name in inspected.variables
            origin = "the deployment's variable" if found else "default"
            text = f"{shown(inspected.variables)} ({origin})"
        elif name in inspected.variables and not _reaches_one(inspected, name):
            yield Finding(Level.WARNING, path, _unused(name, shown(env)))
            continue
        else:
            text = f"{shown(env)} (default)"
        yield Finding(Level.INFO, path, f"{name}: {text}")


def _reaches_one(inspected: Inspected, name: str) -> bool:
    """Whether a variable of the deployment is handed to some component, such as another project."""
    return any(
        variable["source"] == name
        for component in inspected.status["components"]
        for variable in component["variables"]
        if component["path"]  # that the app declares it is not enough
    )


def _unused(name: str, default: str) -> str:
    return (
        f"{name}: {default} (default). The deployment's variable does nothing, because the app "
        "does not hand it on: use define_app(env={**posthog_component.declared_env, …}) and "
        "app.use(posthog_component, env=app.env)"
    )


#: Heeded where functions run, so those of the app count without being handed on.
_OF_THE_APP = frozenset({"POSTHOG_AI_PRIVACY_MODE", "POSTHOG_DISABLE_AI_TRACING"})


def _secret(name: str, without: str) -> Callable[[Env], str]:
    return lambda env: masked(env[name].strip()) if env.get(name, "").strip() else without


def _host(env: Env) -> str:
    """The address; without a password, should somebody have written one into it."""
    scheme, found, rest = normalise_host(env.get("POSTHOG_HOST")).partition("://")
    return f"{scheme}{found}{rest.rpartition('@')[2]}"


def _yes_or_no(name: str) -> Callable[[Env], str]:
    return lambda env: "yes" if is_yes(env, name) else "no"


def _per_minute(env: Env) -> str:
    number = errors_per_minute(env)[0]
    return "unlimited" if number is None else f"{number:g}"


#: What each does, as text.
_SHOWN: Mapping[str, Callable[[Env], str]] = MappingProxyType(
    {
        "POSTHOG_PROJECT_TOKEN": _secret("POSTHOG_PROJECT_TOKEN", "none: events wait"),
        "POSTHOG_HOST": _host,
        "POSTHOG_PERSONAL_API_KEY": _secret(
            "POSTHOG_PERSONAL_API_KEY", "none: flags are not evaluated here"
        ),
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": lambda env: f"{poll_interval_s(env)[0]:g}",
        "POSTHOG_DISABLE_LOCAL_EVALUATION": _yes_or_no("POSTHOG_DISABLE_LOCAL_EVALUATION"),
        "POSTHOG_WEBHOOK_SECRET": _secret("POSTHOG_WEBHOOK_SECRET", "none: no webhook is heard"),
        "POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE": _yes_or_no(
            "POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE"
        ),
        "POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE": _per_minute,
        "POSTHOG_AI_PRIVACY_MODE": _yes_or_no("POSTHOG_AI_PRIVACY_MODE"),
        "POSTHOG_DISABLE_AI_TRACING": _yes_or_no("POSTHOG_DISABLE_AI_TRACING"),
    }
)
