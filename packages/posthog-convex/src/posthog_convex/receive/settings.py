"""What a receiver is told: where from, where to, how much.

Owns the variables and what is wrong with their values. Never reads the environment by itself. One
invariant: settings that are complete and in range, or an error that names the variable and never
shows a secret.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from posthog_convex.destination import (
    HOST_VARIABLE,
    TOKEN_VARIABLE,
    Destination,
    host_problem,
    token_problem,
)

T = TypeVar("T")

SECRET_VARIABLE = "CONVEX_WEBHOOK_SECRET"  # noqa: S105  # the variable's name
PREFIX = "POSTHOG_RECEIVE_"
DEFAULT_DATA = Path(".posthog-convex-receive")

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it and says what to set."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a receiver needs to know."""

    #: The webhook's secrets as Convex shows them; more than one while a secret is being changed.
    secrets: tuple[str, ...]
    destination: Destination
    #: Where what was accepted waits.
    data: Path = DEFAULT_DATA
    #: What PostHog Logs lists the lines under; None for the deployment's name.
    service_name: str | None = None
    logs: bool = True
    errors: bool = True
    #: Batches whose newest event is older are refused; 0 refuses none. A day, because a stream
    #: that was held up delivers late, and what was accepted in this time is known again.
    replay_window_s: float = 24 * 3600.0
    #: When the spool is full: Convex is told to come again later.
    max_spool_mb: int = 1000
    #: The share of errors that is sent.
    sample_rate: float = 1.0
    #: Errors of one kind a minute; None for all.
    errors_per_minute: int | None = None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Settings:
        """The settings that an environment holds. Raises `SettingsError`.

        >>> made = Settings.of({"CONVEX_WEBHOOK_SECRET": "s", "POSTHOG_PROJECT_TOKEN": "phc_1"})
        >>> made.logs, made.errors, made.replay_window_s
        (True, True, 86400.0)
        """
        secrets = tuple(env.get(SECRET_VARIABLE, "").replace(",", " ").split())
        if not secrets:
            raise SettingsError(
                f"{SECRET_VARIABLE} is not set: set it to the secret that Convex shows for the "
                "webhook log stream"
            )
        token, host = env.get(TOKEN_VARIABLE, ""), env.get(HOST_VARIABLE) or None
        for name, problem in (
            (TOKEN_VARIABLE, token_problem(token)),
            (HOST_VARIABLE, host_problem(host)),
        ):
            if problem is not None:
                raise SettingsError(f"{name}: {problem}")
        read = _Reader(env)
        made = cls(
            secrets=secrets,
            destination=Destination(token.strip(), host),
            data=Path(env.get(f"{PREFIX}DATA") or DEFAULT_DATA),
            service_name=env.get(f"{PREFIX}SERVICE_NAME") or None,
            logs=read.flag("LOGS", default=True),
            errors=read.flag("ERRORS", default=True),
            replay_window_s=read.number("REPLAY_WINDOW_S", 24 * 3600.0),
            max_spool_mb=int(read.number("MAX_SPOOL_MB", 1000, least=1)),
            sample_rate=read.number("SAMPLE_RATE", 1.0, most=1.0),
            errors_per_minute=read.optional("ERRORS_PER_MINUTE"),
        )
        if not made.logs and not made.errors:
            raise SettingsError(f"{PREFIX}LOGS and {PREFIX}ERRORS are both off: nothing to do")
        return made


class _Reader:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def flag(self, name: str, *, default: bool) -> bool:
        text = self._text(name)
        if text is None:
            return default
        if text.lower() in _YES | _NO:
            return text.lower() in _YES
        raise SettingsError(f"{PREFIX}{name} is {text!r}: set it to 1 or 0")

    def number(
        self, name: str, default: float, *, least: float = 0.0, most: float = math.inf
    ) -> float:
        text = self._text(name)
        if text is None:
            return default
        found = _converted(text, float)
        if found is None or not math.isfinite(found) or not least <= found <= most:
            limits = f"of at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
            raise SettingsError(f"{PREFIX}{name} is {text!r}: set it to a number {limits}")
        return found

    def optional(self, name: str) -> int | None:
        text = self._text(name)
        if text is None:
            return None
        found = _converted(text, int)
        if found is None or found < 1:
            raise SettingsError(f"{PREFIX}{name} is {text!r}: set it to a whole number above 0")
        return found

    def _text(self, name: str) -> str | None:
        return self._env.get(f"{PREFIX}{name}", "").strip() or None


def _converted(text: str, kind: Callable[[str], T]) -> T | None:
    try:
        return kind(text)
    except ValueError:
        return None
