"""How a companion fares, for `doctor` and the dashboard.

Owns these values. One invariant: they hold no secret of the host's; what a companion prints is its
own business.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class CompanionState(Enum):
    """NOT_SET_UP, IDLE and BROKEN change when its file does; RUNNING → WAITING or RESTARTING when
    its process ends, → RUNNING; every state → ENDED, for good.
    """

    #: There is no file that says what is to run.
    NOT_SET_UP = "not set up"
    #: The file says that nothing is.
    IDLE = "idle"
    #: What is to run can't be found out: the package, or the file, has to be mended.
    BROKEN = "broken"
    RUNNING = "running"
    #: It has done its work, and is started again in a while.
    WAITING = "waiting"
    #: It ended when it should not have, and is started again in a while.
    RESTARTING = "restarting"
    ENDED = "ended"


class CompanionStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One companion, as it is now."""

    name: str
    state: CompanionState
    #: Why it is in this state; "" where that needs no words.
    reason: str = ""
    #: The function that runs and its arguments; "" while none is known.
    program: str = ""
    pid: int | None = None
    #: When its process began, in milliseconds since 1970.
    since_ms: float | None = None
    #: When the next process begins; None while one runs, or none is to.
    next_ms: float | None = None
    #: Processes that were started, and those in a row that ended when they should not have.
    starts: int = 0
    failures: int = 0
    #: What it printed last.
    last_line: str = ""
