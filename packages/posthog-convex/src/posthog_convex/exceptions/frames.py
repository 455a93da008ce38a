"""Frames of a traceback.

Owns their form, which of them are the app's, and the source lines around each. Never reads a file
that `linecache` may not read. One invariant: the oldest call comes first and the line that raised
comes last, as PostHog reads Python's frames.
"""

from __future__ import annotations

import linecache
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any

import msgspec

#: Of a deep recursion the first and the last calls tell what happened.
MAX_FRAMES = 100
#: Source lines before and after the one that ran.
CONTEXT_LINES = 5
#: Characters of a source line; generated code may have lines of megabytes.
MAX_LINE = 256

Frame = dict[str, Any]


class FrameRules(msgspec.Struct, frozen=True):
    """Whose code a frame is, by the name of its module.

    Without `app_packages` the app is what is neither installed nor Python's own.
    """

    #: How the names of packages that hold the app begin; modules and paths are shown without it.
    app_packages: tuple[str, ...] = ()
    #: Further modules that count as the app's own, with what is below them.
    in_app_modules: tuple[str, ...] = ()
    #: Packages that only carry the app's calls: outermost they are left out, further in they stay.
    carriers: tuple[str, ...] = ()


class Place(msgspec.Struct, frozen=True):
    """One frame and the line that it stood at."""

    frame: FrameType
    lineno: int


def places(traceback: TracebackType | None, rules: FrameRules) -> list[Place]:
    """The frames between who caught the error and who raised it, oldest call first."""
    found: list[Place] = []
    while traceback is not None:
        found.append(Place(traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return _worth_showing(found, rules)


def places_of_call(frame: FrameType | None, rules: FrameRules) -> list[Place]:
    """The frames that lead to `frame`, for an error that was made and never raised."""
    found: list[Place] = []
    while frame is not None:
        found.append(Place(frame, frame.f_lineno))
        frame = frame.f_back
    found.reverse()
    first = next((i for i, place in enumerate(found) if _is_app(place, rules)), 0)
    return _worth_showing(found[first:], rules)


def describe_frame(place: Place, rules: FrameRules) -> Frame:
    """One frame as PostHog reads it, without variables."""
    code, names = place.frame.f_code, place.frame.f_globals
    module = _module(place)
    own = without_app_package(module, rules)
    shown = module if own is None else own
    described: Frame = {
        "platform": "python",
        "filename": filename_of(code.co_filename, shown, is_app=own is not None),
        "abs_path": code.co_filename,
        "function": code.co_name,
        "module": shown,
        "lineno": place.lineno,
        "in_app": own is not None or _is_in_app(module, code.co_filename, rules),
    }
    return described | _source_lines(code.co_filename, place.lineno, names)


def _worth_showing(found: Sequence[Place], rules: FrameRules) -> list[Place]:
    shown = [p for p in found if not p.frame.f_locals.get("__traceback_hide__")]
    first = next((i for i, p in enumerate(shown) if not _carries(p, rules)), 0)
    shown = shown[first:]
    if len(shown) <= MAX_FRAMES:
        return shown
    return shown[: MAX_FRAMES // 2] + shown[-MAX_FRAMES // 2 :]


def _carries(place: Place, rules: FrameRules) -> bool:
    return _is_below(_module(place), rules.carriers)


def _is_app(place: Place, rules: FrameRules) -> bool:
    return without_app_package(_module(place), rules) is not None


def _module(place: Place) -> str:
    return str(place.frame.f_globals.get("__name__") or "")


def without_app_package(module: str, rules: FrameRules) -> str | None:
    """The name by which the app's author knows the module; None when it is not the app's."""
    package, dot, rest = module.partition(".")
    return rest if dot and package.startswith(rules.app_packages) else None


def _is_in_app(module: str, path: str, rules: FrameRules) -> bool:
    if _is_below(module, rules.in_app_modules):
        return True
    if rules.app_packages or _is_below(module, rules.carriers) or path.startswith("<"):
        return False
    return not (path.startswith(_STANDARD_LIBRARY) or _INSTALLED_HERE.intersection(path.split("/")))


def _is_below(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


_INSTALLED_HERE = frozenset({"site-packages", "dist-packages"})
_STANDARD_LIBRARY = tuple(f"{sysconfig.get_paths()[name]}/" for name in ("stdlib", "platstdlib"))


def filename_of(path: str, module: str, *, is_app: bool) -> str:
    """The path from the folder that imports start at, so that it is the same on every machine."""
    tail = module.replace(".", "/")
    if is_app:
        return f"{tail}.py"
    for ending in (f"{tail}.py", f"{tail}/__init__.py"):
        if path.endswith("/" + ending):
            return ending
    return path.rpartition("/")[2]


def _source_lines(path: str, lineno: int, names: dict[str, Any]) -> Frame:
    lines = _quietly(lambda: linecache.getlines(path, names))
    if not lines or not 0 < lineno <= len(lines):
        return {}
    at = lineno - 1
    return {
        "pre_context": [_cut(line) for line in lines[max(0, at - CONTEXT_LINES) : at]],
        "context_line": _cut(lines[at]),
        "post_context": [_cut(line) for line in lines[at + 1 : at + 1 + CONTEXT_LINES]],
    }


def _quietly(read: Callable[[], list[str]]) -> list[str]:
    try:
        return read()
    except Exception:  # where reading is refused, a frame has no source lines
        return []


def _cut(line: str) -> str:
    line = line.rstrip("\r\n")
    return line if len(line) <= MAX_LINE else line[:MAX_LINE] + "…"


def each_frame(
    found: Sequence[Place], rules: FrameRules, variables: Callable[[Place], Frame] | None = None
) -> Iterator[Frame]:
    """The frames described; `variables` adds its part to those that are the app's."""
    for place in found:
        described = describe_frame(place, rules)
        if variables is not None and described["in_app"]:
            described |= variables(place)
        yield described
