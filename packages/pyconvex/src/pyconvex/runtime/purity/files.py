"""Which files a query or mutation may read.

Owns the rule: what is installed with the interpreter may be read, because a deploy fixes it; any
other file may change between two attempts. Never opens anything. One invariant: nothing may be
written, wherever it lies.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from typing import Any
from zoneinfo import TZPATH

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def writes(mode: Any, flags: Any) -> bool:
    """Whether a file is opened for writing, from what the audit event tells."""
    if isinstance(mode, str) and set(mode) & set("wax+"):
        return True
    return isinstance(flags, int) and bool(flags & _WRITES)


def is_installed(path: Any) -> bool:
    """Whether a path lies in the standard library, an installed package or the time zones."""
    if isinstance(path, int):
        return False
    try:
        full = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))
    except (TypeError, ValueError, OSError):
        return False
    return full.startswith(_INSTALLED)


def _installed_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), *TZPATH}
    folders |= {f"{prefix}/{sys.platlibdir}/python" for prefix in (sys.prefix, sys.base_prefix)}
    return tuple(
        sorted(folder if folder.endswith("python") else f"{folder}/" for folder in folders)
    )


_INSTALLED = _installed_folders()
