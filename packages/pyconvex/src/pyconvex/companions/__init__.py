"""Programs of installed packages that a host keeps running beside itself, set up in the project.

Owns what the author of a companion writes, the process around each, and how they fare. Never loads
a companion's program into the host, and knows none of them by name. One invariant: nothing that a
companion does keeps the host from starting, serving or ending.
"""

from pyconvex.companions.companion import Companion, Idle, Program, Project
from pyconvex.companions.companions import Companions
from pyconvex.companions.status import CompanionState, CompanionStatus

__all__ = [
    "Companion",
    "CompanionState",
    "CompanionStatus",
    "Companions",
    "Idle",
    "Program",
    "Project",
]
