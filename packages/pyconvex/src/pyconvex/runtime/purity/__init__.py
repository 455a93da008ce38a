"""Queries and mutations are pure.

Owns the guards that freeze clocks, seed randomness and refuse the rest, and whether a pure run is
active. Never runs a function. One invariant: a guard that finds no active run changes nothing.

It contains mistakes, not malice: `docs/purity.md` lists what it can't catch.
"""

from pyconvex.runtime.purity.active import ActiveRun, Entropy, begin, end, real_steady_ns
from pyconvex.runtime.purity.audit import no_network
from pyconvex.runtime.purity.guards import guarded, install, remove
from pyconvex.runtime.purity.refusal import ImportTimeNetworkError, ImpureCallError, impure
from pyconvex.runtime.purity.variables import enter_call, leave_call

__all__ = [
    "ActiveRun",
    "Entropy",
    "ImportTimeNetworkError",
    "ImpureCallError",
    "begin",
    "end",
    "enter_call",
    "guarded",
    "impure",
    "install",
    "leave_call",
    "no_network",
    "real_steady_ns",
    "remove",
]
