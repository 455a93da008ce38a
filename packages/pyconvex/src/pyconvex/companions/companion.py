"""What the author of a companion writes.

Owns these values. Never starts anything. One invariant: a program has no secret in its arguments,
because every user of a machine can read them.

A package offers a companion by an entry point of the group `pyconvex.companions`: its name, and
where the `Companion` is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GROUP: Final = "pyconvex.companions"
#: The names that Convex's own command line gives to them.
URL_VARIABLE: Final = "CONVEX_SELF_HOSTED_URL"
KEY_VARIABLE: Final = "CONVEX_SELF_HOSTED_ADMIN_KEY"


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """What a companion is told of the host before it says what is to run."""

    #: The project's folder, which the host was started in.
    folder: Path
    #: Where the host answers: where it listens, then where a proxy says that it is.
    urls: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What is to run, in a process of its own, in the project's folder."""

    #: A function without arguments, such as `package.cli:main`. It finds `arguments` in `sys.argv`.
    run: str
    arguments: tuple[str, ...] = ()
    #: None: it runs for as long as the host does, and is started again when it ends. Otherwise it
    #: does its work and ends, and is started so many seconds after its last start.
    every_s: float | None = None
    #: The variables in which it finds the host's address and admin key.
    url_variable: str = URL_VARIABLE
    key_variable: str = KEY_VARIABLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Idle:
    """Nothing is to run."""

    #: Why, for who expected it to.
    reason: str
    #: Whether somebody has to mend something: then the host says it aloud, and `doctor` minds.
    problem: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Companion:
    """A companion that a package offers.

    The host asks `program` when it starts and whenever `file` has changed. It runs in a thread of
    the host, so it reads the file and imports nothing large.
    """

    #: Sets it up, by its path in the project's folder. Where it is not, nothing runs.
    file: str
    #: Says how that file comes to be: "`pyconvex init` writes it".
    set_up: str
    program: Callable[[Project], Program | Idle]
