"""What the system tells of a process: processor time and memory.

Owns the reading of `/proc`. Never judges. One invariant: where the system doesn't tell, the answer
is None, and whoever asks goes without.
"""

from __future__ import annotations

import os
from pathlib import Path


def cpu_seconds(pid: int | None) -> float | None:
    """Processor time that a process has used, in seconds."""
    if pid is None:
        return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_memory(pid: int | None) -> int | None:
    """Bytes in memory that belong to no file; after a fork also those still shared."""
    if pid is None:
        return None
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_bytes().split()
    except (OSError, ValueError):
        return None
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def data_size() -> int | None:
    """Bytes of writable memory that this process has asked for, as `RLIMIT_DATA` counts them."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
