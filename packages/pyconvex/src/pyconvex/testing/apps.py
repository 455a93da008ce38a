"""What can be tested: a functions folder, source texts, imported modules, or an app definition.

Owns the ways from each of them to the deployer's sources and the pool's image. Never deploys. One
invariant: source is imported anew for each deployment; modules that the test imported are used as
they are, and so are their globals.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeAlias

from pyconvex.functions import AppDefinition
from pyconvex.runtime.app.analysis import analyse, describe
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.app.loader import read_sources
from pyconvex.runtime.isolates.in_process import LoadImage

App: TypeAlias = str | os.PathLike[str] | Mapping[str, str] | Iterable[ModuleType] | AppDefinition

#: Where tracebacks place source that was given as text.
_NO_FOLDER = Path("<convex_test>")


class AppSource(NamedTuple):
    """An app as the deployer takes it, and how its image is made."""

    sources: dict[str, str]
    folder: Path
    load_image: LoadImage


def app_source(app: App) -> AppSource:
    """Find out what was given. Raises `SourceError` for a folder that is none, else `TypeError`."""
    if isinstance(app, (str, os.PathLike)):
        folder = Path(app).resolve()
        return AppSource(read_sources(folder), folder, analyse)
    if isinstance(app, AppDefinition):
        config = ModuleType("convex_config")
        config.__dict__["app"] = app
        return _imported({"convex_config": config})
    if isinstance(app, Mapping):
        return AppSource(dict(app), _NO_FOLDER, analyse)
    modules = list(app)
    if not all(isinstance(module, ModuleType) for module in modules):
        raise TypeError(
            "convex_test takes a folder, a dictionary of source texts by file name such as "
            '{"users.py": "…"}, a list of imported modules, or what define_app returned.'
        )
    return _imported(_by_path(modules))


def _imported(modules: Mapping[str, ModuleType]) -> AppSource:
    def load_image(sources: Mapping[str, str], folder: str, package: str) -> AppImage:
        return describe(modules, version="imported modules")

    return AppSource({}, _NO_FOLDER, load_image)


def _by_path(modules: list[ModuleType]) -> dict[str, ModuleType]:
    """Modules by function path: the part of their names behind what all of them share."""
    packages = [module.__name__.split(".")[:-1] for module in modules]
    levels = zip(*packages, strict=False)
    shared = len(list(itertools.takewhile(lambda names: len(set(names)) == 1, levels)))
    return {"/".join(m.__name__.split(".")[shared:]): m for m in modules}
