"""TypeScript types of an app, as Convex's own clients and docs expect to find them.

Owns which files there are. Never imports or runs an app: it is given what a deploy found. One
invariant: equal apps give equal files, byte for byte.
"""

from __future__ import annotations

from pyconvex.cli.typescript.api import api_files
from pyconvex.cli.typescript.data_model import data_model_files
from pyconvex.runtime.app.spec import AppSpec

#: Where they stand, in the functions folder.
FOLDER = "_generated"


def generated_files(spec: AppSpec) -> dict[str, str]:
    """The text of each file of `convex/_generated`, by name. Components are left out: a frontend
    can't call them.
    """
    return {**api_files(spec.root), **data_model_files(spec.root)}


__all__ = ["FOLDER", "generated_files"]
