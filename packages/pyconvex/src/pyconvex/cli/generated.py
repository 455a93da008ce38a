"""`convex/_generated`: the folder of written types, on disk.

Owns writing it. Never decides what stands in it. One invariant: a file that already says the same
is not touched, so that no bundler rebuilds for nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from pyconvex.cli.typescript import FOLDER, generated_files
from pyconvex.runtime.spec import AppSpec


def write_types(functions: Path, spec: AppSpec) -> list[str]:
    """Write the types of an app into its functions folder; the names of the files that changed."""
    folder = functions / FOLDER
    folder.mkdir(exist_ok=True)
    return [name for name, text in generated_files(spec).items() if _write(folder / name, text)]


def _write(file: Path, text: str) -> bool:
    if file.exists() and file.read_bytes() == text.encode():
        return False
    # In one step: a compiler that watches never sees half of it.
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, file)
    return True
