"""On what a figure was measured: the machine, the versions, the disk's sync.

Owns the line that stands under every table. Never measures a subject. Invariant: it names nothing
that identifies the machine beyond its kind.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path


def describe() -> dict[str, str]:
    """Processor, cores, memory, system, Python, what else kept it busy, and the day."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Installed versions by package name."""
    return {name: importlib.metadata.version(name) for name in packages}


def node_version() -> str:
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip().removeprefix("v")


def sync_ms(*, growing: bool, rounds: int = 100) -> float:
    """The median time in which this disk makes 4 KiB durable, at the end of a file or inside it."""
    with tempfile.NamedTemporaryFile() as file:
        descriptor = file.fileno()
        if not growing:
            os.write(descriptor, bytes(4096 * rounds))
            os.fsync(descriptor)
        times = [_one_sync(descriptor, 4096 * number) for number in range(rounds)]
    return statistics.median(times) * 1000


def _one_sync(descriptor: int, offset: int) -> float:
    started = time.perf_counter()
    os.pwrite(descriptor, b"x" * 4096, offset)
    os.fdatasync(descriptor)
    return time.perf_counter() - started


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
