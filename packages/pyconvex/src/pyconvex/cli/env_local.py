"""The `.env.local` file: where a project's frontend and tools find the deployment.

Owns reading it and writing our lines into it. Never touches other lines. One invariant: the file is
readable by its owner only, because it holds the admin key.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = ".env.local"
URL_VARIABLE = "CONVEX_SELF_HOSTED_URL"
KEY_VARIABLE = "CONVEX_SELF_HOSTED_ADMIN_KEY"
BROWSER_URL_VARIABLE = "VITE_CONVEX_URL"

#: Readable and writable by the owner alone.
_MODE = 0o600


def read(folder: Path) -> dict[str, str]:
    """The variables in the folder's `.env.local`; empty when there is none."""
    path = folder / FILE_NAME
    return read_file(path) if path.is_file() else {}


def read_file(path: Path) -> dict[str, str]:
    """The variables in a file of NAME=VALUE lines; raises `OSError` and `UnicodeDecodeError`."""
    pairs = (line.partition("=") for line in path.read_text("utf-8").splitlines())
    return {
        name.strip(): value.strip().strip("'\"")
        for name, equals, value in pairs
        if equals and not name.lstrip().startswith("#")
    }


def write(folder: Path, variables: Mapping[str, str | None]) -> None:
    """Set variables in the folder's `.env.local`, or remove them with None, in one step, with mode
    600. A file that already says the same is not touched.
    """
    path = folder / FILE_NAME
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if line.partition("=")[0].strip() not in variables]
    # A value may hold a bar or a colon, which a shell that sources the file would take apart.
    ours = [f"{name}={_quoted(value)}" for name, value in variables.items() if value is not None]
    text = "\n".join([*kept, *ours]) + "\n"
    if path.exists() and path.read_text() == text and stat.S_IMODE(path.stat().st_mode) == _MODE:
        return
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=FILE_NAME)  # made with mode 600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, path)


def can_hold(value: str) -> bool:
    """Whether all readers of such files, shells and dotenv alike, would read this value back."""
    return "\n" not in value and "\r" not in value and not ("'" in value and '"' in value)


def _quoted(value: str) -> str:
    return f"'{value}'" if "'" not in value else f'"{value}"'
