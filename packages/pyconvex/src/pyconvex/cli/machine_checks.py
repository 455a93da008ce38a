"""What `pyconvex doctor` looks at without a server: Python, packages, folders, files, disk.

Owns these checks. Never reads a secret's text into a finding.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pyconvex.cli import env_local
from pyconvex.cli.counted import counted
from pyconvex.cli.findings import Finding, Level
from pyconvex.runtime.app.loader import SourceError, read_sources
from pyconvex.server import DEFAULT_PORT
from pyconvex.server.keys import key_file

#: The oldest Python that is tested.
LEAST_PYTHON = (3, 11)
#: What a busy deployment writes before anybody looks.
LEAST_FREE_BYTES = 1 << 30
_PACKAGES = ("pyconvex", "posthog-convex", "posthog-local", "convex", "posthog")
_OWNER_ONLY = 0o077
_TAKEN = "in use, by a deployment that runs here or by something else; --port takes another"


def check(functions: Path, data: Path) -> Iterator[Finding]:
    """Look at this machine and at the project in this folder."""
    yield _python()
    yield _packages()
    yield _functions(functions)
    yield from _env_file(Path.cwd())
    yield from _data(data)
    yield from (_port(port) for port in (DEFAULT_PORT, DEFAULT_PORT + 1))


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return Finding(Level.PROBLEM, "Python", f"{text}; {least} or newer is needed.")
    return Finding(Level.OK, "Python", text)


def _packages() -> Finding:
    """Ours, and those of Convex and PostHog, which do no harm beside them."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    ours = {found[name] for name in _PACKAGES[:3] if name in found}
    if len(ours) > 1:
        return Finding(
            Level.PROBLEM,
            "packages",
            f"{text}. The versions of pyconvex, posthog-convex and posthog-local must be equal.",
        )
    return Finding(Level.OK, "packages", text)


def _functions(folder: Path) -> Finding:
    try:
        sources = read_sources(folder)
    except SourceError as error:
        return Finding(Level.WARNING, "functions", str(error))
    files = counted(len(sources), "file")
    return Finding(Level.OK, "functions", f"{files} in {folder}")


def _env_file(project: Path) -> Iterator[Finding]:
    file = project / env_local.FILE_NAME
    if not file.exists():
        return
    if stat.S_IMODE(file.stat().st_mode) & _OWNER_ONLY:
        yield Finding(
            Level.PROBLEM, file.name, f"others can read the admin key in it: chmod 600 {file.name}"
        )
    elif _tracked_by_git(file):
        yield Finding(
            Level.PROBLEM,
            file.name,
            f"git would commit the admin key in it: add {file.name} to .gitignore",
        )
    else:
        yield Finding(Level.OK, file.name, "its owner alone can read it, and git passes over it")


def _tracked_by_git(file: Path) -> bool:
    """Whether git would commit the file; not where there is no git."""
    git = shutil.which("git")
    if git is None:
        return False
    asked = subprocess.run(
        [git, "check-ignore", "--quiet", file.name], cwd=file.parent, capture_output=True
    )
    return asked.returncode == 1  # 128: no repository


def _data(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        yield Finding(Level.INFO, "data", f"{folder} is not there yet; the first start makes it")
        return
    key = key_file(folder)
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & _OWNER_ONLY:
        yield Finding(Level.PROBLEM, "data", f"others can read the admin key: chmod 600 {key}")
    free = shutil.disk_usage(folder).free
    level = Level.OK if free >= LEAST_FREE_BYTES else Level.WARNING
    yield Finding(level, "data", f"{folder.resolve()}, {free / (1 << 30):.1f} GB free")


def _port(port: int) -> Finding:
    """Whether `pyconvex dev` could listen here, if nothing of ours does."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    text = _TAKEN if taken else "free"
    return Finding(Level.INFO, f"port {port}", text)
