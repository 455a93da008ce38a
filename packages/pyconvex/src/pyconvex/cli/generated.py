"""`convex/_generated`: the folder of written types, on disk.

Owns writing it. Never decides what stands in it. One invariant: a file that already says the same
is not touched, so that no bundler rebuilds for nothing; a file of somebody else never is.
"""

from __future__ import annotations

import os
from pathlib import Path

from pyconvex.cli.typescript import FOLDER, generated_files
from pyconvex.runtime.app.spec import AppSpec

#: Stands in every file that is ours.
_MARK = "`pyconvex codegen`"


class ForeignFilesError(Exception):
    """Another tool has written types there; nothing was written."""


def write_types(functions: Path, spec: AppSpec) -> list[str]:
    """Write the types of an app into its functions folder; the names of the files that changed.

    Raises `ForeignFilesError` where the npm CLI has written its own, for functions in TypeScript.
    """
    folder = functions / FOLDER
    folder.mkdir(exist_ok=True)
    for file in (folder / "api.d.ts", folder / "dataModel.d.ts"):
        if file.exists() and _MARK not in file.read_text("utf-8", errors="replace"):
            raise ForeignFilesError(
                f"{file} was written by another tool, perhaps by `npx convex`, and was left as it "
                f"is. Remove {folder} to have types of the Python functions there, or keep them "
                "in a folder of their own and name it with --functions."
            )
    return [name for name, text in generated_files(spec).items() if _write(folder / name, text)]


def _write(file: Path, text: str) -> bool:
    if file.exists() and file.read_bytes() == text.encode():
        return False
    # In one step: a compiler that watches never sees half of it.
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, file)
    return True
