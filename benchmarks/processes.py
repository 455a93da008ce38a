"""What the processes of a running server use: processor time and memory.

Owns the reading of Linux's `/proc` and the names of the kinds of processes. Never starts any.
Invariant: a process counts for one kind, so the kinds add up to the whole.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from pathlib import Path


def tree(pid: int) -> list[int]:
    """A process and all that came from it."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(int(entry.name))) is not None:
            children[parent].append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children[found[-1]]
    return found


def kinds(server: int) -> dict[str, list[int]]:
    """The processes of our host by kind: server, template, isolates, lanes, exports."""
    found: dict[str, list[int]] = defaultdict(list)
    for pid in tree(server):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if pid == server:
            found["server"].append(pid)
        elif b"pyconvex.export" in command:
            found["exports"].append(pid)
        elif b"pyconvex.delivery" in command:
            found["lanes"].append(pid)
        elif b"pyconvex.runtime.isolates.template" in command:
            found["template" if _parent(pid) == server else "isolates"].append(pid)
        else:
            found["other"].append(pid)
    return dict(found)


def cpu_s(pids: list[int]) -> float:
    """Processor time that processes have used so far, in seconds, by the scheduler's clock."""
    return sum(_scheduled_ns(pid) for pid in pids) / 1e9


def ended_children_s(pids: list[int]) -> float:
    """Processor time of the children of these that have ended, in seconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[13]) + int(fields[14])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pids: list[int]) -> float:
    """Memory in MB; what several share counts for each by its share."""
    return sum(_pss_kb(pid) for pid in pids) / 1000


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def _scheduled_ns(pid: int) -> int:
    """All threads': finer than the ticks of `stat`."""
    total = 0
    with contextlib.suppress(OSError):  # it, or a thread of it, has ended meanwhile
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total


def _pss_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 // 1000
    return 0
