"""The refusal of what only actions may do.

Owns the error, the sentence, and the search for the line of the author's code that it names. Never
decides what is impure. One invariant: what the interpreter or the host does on its own behalf, an
import or the printing of a traceback, is never refused.
"""

from __future__ import annotations

import sys
import sysconfig
from types import FrameType

from pyconvex.runtime.app.loader import APP_PACKAGE


class ImpureCallError(RuntimeError):
    """A query or mutation tried something that only actions may do."""


class ImportTimeNetworkError(OSError):
    """A module reached for the network while it was imported.

    An `OSError`, so that code which can do without the network does.
    """


def import_time_network() -> ImportTimeNetworkError:
    """The error for it, with the line of the author's that led there."""
    frame = _author_frame(sys._getframe(1))
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}: " if frame is not None else ""
    return ImportTimeNetworkError(
        f"{where}Can't use the network while a module is imported: deploys would fail whenever the "
        "other side does. Do it in an action."
    )


def impure(attempt: str) -> ImpureCallError:
    """The error for an attempt, such as "use time.sleep", with the line that made it."""
    sentence = f"Can't {attempt} in queries and mutations. Please consider using an action."
    frame = _author_frame(sys._getframe(1))
    if frame is None:
        return ImpureCallError(sentence)
    return ImpureCallError(f"{frame.f_code.co_filename}:{frame.f_lineno}: {sentence}")


def on_own_behalf() -> bool:
    """Whether the host or the interpreter's machinery asks, not the function that runs."""
    frame: FrameType | None = sys._getframe(1)
    author_seen = False
    while frame is not None:
        name = _module(frame)
        if name.startswith(_PURITY):
            pass
        elif name.startswith(_HOST):
            return not author_seen
        elif name in _MACHINERY or name.startswith(_MACHINERY_PREFIXES):
            return True
        elif not _is_stdlib(frame):
            author_seen = True
        frame = frame.f_back
    return not author_seen


def _author_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the app, else of code that is not installed, else of a package.

    Of the innermost function call: a component answers for itself, not the app that calls it.
    """
    own = packaged = None
    while frame is not None:
        name = _module(frame)
        if name.startswith(APP_PACKAGE):
            return frame
        if name.startswith(_HOST):
            if packaged is not None:
                break
        elif not _is_stdlib(frame) and _HIDDEN not in frame.f_code.co_varnames:
            packaged = packaged or frame
            if not _is_packaged(frame):
                own = own or frame
        frame = frame.f_back
    return own or packaged


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""


def _is_stdlib(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    if filename.startswith("<frozen"):
        return True
    return filename.startswith(_STDLIB) and not _is_packaged(frame)


def _is_packaged(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    return "/site-packages/" in filename or "/dist-packages/" in filename


_HOST = "pyconvex."
_PURITY = __name__.rpartition(".")[0] + "."
_STDLIB = sysconfig.get_paths()["stdlib"] + "/"
#: The variable by which a wrapper says, also to pytest, that its line explains nothing.
_HIDDEN = "__tracebackhide__"
#: Imports, source lines for tracebacks, debuggers.
_MACHINERY = {"inspect", "linecache", "bdb", "pdb", "zipimport"}
_MACHINERY_PREFIXES = ("importlib.", "pydevd", "_pydev", "debugpy.")
