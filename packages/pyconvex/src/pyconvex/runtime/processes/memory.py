"""How much memory an isolate may use.

Owns the request to the system and the words for a run that went over. Never measures; the server
does. One invariant: what goes over fails where it asks for memory, as `MemoryError`, and the
process can still say so.
"""

from __future__ import annotations

import contextlib
import resource
import traceback

from pyconvex.runtime.processes.usage import data_size


def limit_memory(grows_by_bytes: int) -> None:
    """Let this process have so much more writable memory than it has now.

    Where the system keeps no such limit (macOS), the server's look at what it uses is the only one.
    """
    now = data_size()
    if now is None:
        return
    limit = now + grows_by_bytes
    with contextlib.suppress(ValueError, OSError):  # a lower limit was set from outside
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def let_go(error: MemoryError) -> None:
    """Drop what the failed frames hold, so that there is memory to tell of the failure."""
    traceback.clear_frames(error.__traceback__)
