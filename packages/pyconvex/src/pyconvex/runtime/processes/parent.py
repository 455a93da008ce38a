"""Dying with the process that started us.

Owns the request to the kernel on Linux. Never watches anything itself: elsewhere, and besides, the
socket to the parent ends, and whoever reads it ends too. One invariant: after `die_with` returned,
the parent's death by any signal kills this process at once (on Linux).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask to be killed when `parent` dies; exit now when it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have died before the request: then somebody else has adopted us.
    if os.getppid() != parent:
        os._exit(1)


def outlive() -> None:
    """Take `die_with` back, to end in order when the parent's socket does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)
