"""All guards together.

Owns whether they are installed. Never asks for a run: each guard does. One invariant: installing
twice is installing once, and removing leaves the process as it was, but for one idle audit hook.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyconvex.runtime.purity.audit import guard_events
from pyconvex.runtime.purity.clock import guard_clock
from pyconvex.runtime.purity.patches import Patches
from pyconvex.runtime.purity.randomness import guard_randomness
from pyconvex.runtime.purity.unaudited import guard_functions
from pyconvex.runtime.purity.variables import guard_variables

_patches = Patches()
_blocks = 0


def install() -> None:
    """Guard this process; do it before the app is imported.

    Runs see frozen clocks, seeded randomness and their own variables, and are refused the rest.
    Nobody else notices.
    """
    if _patches.made:
        return
    guard_clock(_patches)
    guard_randomness(_patches)
    guard_variables(_patches)
    guard_functions(_patches)
    guard_events(_patches)
    _patches.spread()


def remove() -> None:
    """Take the guards away again."""
    _patches.undo()


@contextmanager
def guarded() -> Iterator[None]:
    """Guards while the block lasts, and others like it that overlap."""
    global _blocks
    install()
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1
        if not _blocks:
            remove()
