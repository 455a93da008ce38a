"""What `pyconvex doctor` finds, and what the checks of other packages are given to find it.

Owns these values. Never prints. One invariant: no finding holds a secret's text; `masked` tells one
from another without showing it.

A package adds checks with an entry point of the group `pyconvex.doctor`: a function that takes an
`Inspected` and gives findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

GROUP: Final = "pyconvex.doctor"


class Level(StrEnum):
    """How bad it is."""

    #: Checked, and as it should be.
    OK = "ok"
    #: Nothing to judge: a setting, and where it comes from.
    INFO = "info"
    #: Works, and may surprise.
    WARNING = "warning"
    #: Does not work; the text says what to do.
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Inspected:
    """A running deployment, for checks."""

    #: As `GET /api/pyconvex/status` tells it.
    status: Mapping[str, Any]
    #: The deployment's variables, secrets among them.
    variables: Mapping[str, str]
    #: Calls a function of any kind: path, arguments, component; raises when it fails.
    call: Callable[[str, Mapping[str, Any], str], Any]
    #: The status as it is now, for checks that wait for something.
    look_again: Callable[[], Mapping[str, Any]]
    #: Whether checks may leave a trace outside, such as a test event.
    may_send: bool = True
    pause: Callable[[float], None] = field(default=lambda seconds: None)

    def seen_by(self, component: Mapping[str, Any]) -> dict[str, str]:
        """The variables that reach a component, under its own names; those set in code left out."""
        return {
            variable["name"]: self.variables[variable["source"]]
            for variable in component["variables"]
            if variable["source"] in self.variables
        }


def masked(secret: str) -> str:
    """Enough of a secret to recognise it.

    >>> masked("phc_abcdefghijklmnop"), masked("short")
    ('phc_ab… (20 characters)', '… (5 characters)')
    """
    shown = secret[:6] if len(secret) >= 16 else ""
    return f"{shown}… ({len(secret)} characters)"
