"""A companion's process: what is done there before its program begins.

Owns the lower priority, and dying with the host. Never talks to the host. One invariant: however
the host ends, this process ends too.

Started by the host as `python -m pyconvex.companions.process <server pid> <module:function>
<arguments>`; its standard input is a pipe that the host never writes to and that ends with it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from pathlib import Path

from pyconvex.runtime.processes.parent import die_with

#: Whoever keeps a host company can wait; calls of clients can't.
NICENESS = 10
#: Where memory runs out, Linux ends this before the host: from -1000, never, to 1000, first.
_EXPENDABLE = "500"


def main() -> None:
    """Entry point of the process."""
    parent, target = int(sys.argv[1]), sys.argv[2]
    die_with(parent)
    threading.Thread(target=_follow, args=(_lifeline(),), daemon=True).start()
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE)
    module, _, function = target.partition(":")
    sys.argv = [target, *sys.argv[3:]]
    try:
        program = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        sys.exit(f"{target} can't be loaded: {error}")
    sys.exit(program())


def _lifeline() -> int:
    """The host's pipe, out of the program's way, which gets an empty input."""
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return line


def _follow(line: int) -> None:
    """End, with all that was started from here, once the host is gone."""
    while os.read(line, 4096):
        pass
    os.killpg(0, signal.SIGKILL)  # it is a session of its own


if __name__ == "__main__":
    main()
