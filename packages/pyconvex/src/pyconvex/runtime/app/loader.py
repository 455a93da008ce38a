"""Loading an app's functions folder, from source that is held in memory.

Owns the private package under which the folder is imported, so that it is never on `sys.path` and a
file called `posthog.py` shadows nothing. Never reads the disk: what was deployed is what runs. One
invariant: a module's `__file__` is where the author edits it, for tracebacks and debuggers.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType

#: The name under which the functions folder is imported.
APP_PACKAGE = "_pyconvex_app"


class SourceError(Exception):
    """The functions folder can't be used; the message says which file and what to do."""


def read_sources(folder: Path) -> dict[str, str]:
    """The folder's Python files by relative path, such as `messages/list.py`.

    Generated files, hidden files and caches are left out. Raises `SourceError` when the folder is
    missing, has no Python file, or holds one that can't be a module of the app.
    """
    check_folder(folder)
    sources: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder)
        if any(
            part.startswith((".", "__pycache__")) or part == "_generated" for part in relative.parts
        ):
            continue
        try:
            sources[relative.as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(f"{path} is not UTF-8: {error.reason}. Save it as UTF-8.") from None
    check_sources(sources, folder)
    return sources


def check_sources(sources: Mapping[str, str], folder: Path | str) -> None:
    """Raise `SourceError` when files with these paths can't be the modules of an app."""
    for path in sources:
        parts = PurePosixPath(path).parts
        if PurePosixPath(path).as_posix() != path or ".." in parts or path.startswith("/"):
            raise SourceError(f"{path!r} is no path of a module below the functions folder.")
        if not path.endswith(".py"):
            raise SourceError(f"{path} is no Python file.")
        if parts[-1] == "__init__.py":
            raise SourceError(
                f"Remove {folder}/{path}: the functions folder is loaded under a private name and "
                "must not be an importable package, or its modules could be loaded twice."
            )
        _check_module_path(path.removesuffix(".py"), sources, folder)
    if not sources:
        raise SourceError(f"{folder} has no Python files yet. Add one with a @query or @mutation.")


def check_folder(folder: Path) -> None:
    """Raise `SourceError` when there is no such folder."""
    if not folder.is_dir():
        raise SourceError(f"There is no functions folder at {folder}. `pyconvex init` makes one.")


def _check_module_path(name: str, sources: Mapping[str, str], folder: Path | str) -> None:
    if "." in name:
        raise SourceError(f"Rename {folder}/{name}.py: a module's name can't hold a dot.")
    if any(other.startswith(name + "/") for other in sources):
        raise SourceError(
            f"Rename {folder}/{name}.py or the folder {folder}/{name}: Python takes one name for "
            "a module or for a package, not for both."
        )


class _SourceFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the modules of one package in a mapping of sources."""

    def __init__(self, sources: Mapping[str, str], folder: str, package: str) -> None:
        self.package = package
        self._sources = sources
        self._folder = folder
        self._packages = {
            str(parent) for path in sources for parent in PurePosixPath(path).parents
        } | {"."}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.package and not fullname.startswith(self.package + "."):
            return None
        relative = self._relative(fullname)
        if relative + ".py" in self._sources:
            origin = f"{self._folder}/{relative}.py"
            spec = importlib.machinery.ModuleSpec(fullname, self, origin=origin)
            spec.has_location = True
            return spec
        if (relative or ".") in self._packages:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def is_package(self, fullname: str) -> bool:
        return self._relative(fullname) + ".py" not in self._sources

    def get_source(self, fullname: str) -> str:
        return self._sources.get(self._relative(fullname) + ".py", "")

    def get_code(self, fullname: str) -> CodeType:
        filename = f"{self._folder}/{self._relative(fullname)}.py"
        source = self.get_source(fullname)
        linecache.cache[filename] = (
            len(source),
            None,
            source.splitlines(keepends=True),
            filename,
        )
        return compile(source, filename, "exec", dont_inherit=True)

    def _relative(self, fullname: str) -> str:
        return fullname[len(self.package) + 1 :].replace(".", "/")


def load_app(
    sources: Mapping[str, str],
    folder: str,
    package: str = APP_PACKAGE,
    on_module: Callable[[str], None] = lambda path: None,
) -> dict[str, ModuleType]:
    """Import every module of the app; keys are module paths such as `messages/list`.

    Once per package name: isolates are forked after it, and who loads several apps into one process
    names each package and ends it with `unload_app`. Whatever a module raises comes through.
    """
    sys.meta_path.insert(0, _SourceFinder(sources, folder, package))
    modules: dict[str, ModuleType] = {}
    for path in sorted(sources):
        name = path.removesuffix(".py")
        on_module(path)
        modules[name] = importlib.import_module(f"{package}.{name.replace('/', '.')}")
    return modules


def unload_app(package: str) -> None:
    """Forget an app's modules; what still refers to them keeps them alive. May be repeated."""
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if not (isinstance(finder, _SourceFinder) and finder.package == package)
    ]
    for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
        del sys.modules[name]
