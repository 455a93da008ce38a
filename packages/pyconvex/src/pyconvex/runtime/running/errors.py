"""What a run says of the errors that left its function, to developers and in its report.

Owns the words and the choice of frames. Never raises, and never changes an error but for letting go
of what the frames of a `MemoryError` hold. One invariant: no frame of the host's is shown.
"""

from __future__ import annotations

import itertools
import traceback

from pyconvex.database import DatabaseError
from pyconvex.functions import ConvexError, FunctionCallError
from pyconvex.runlog.exceptions import Describer, ErrorIds
from pyconvex.runlog.report import encode_value
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.app.loader import APP_PACKAGE
from pyconvex.runtime.processes.memory import let_go
from pyconvex.runtime.running import limits
from pyconvex.values import codec

#: Where the host's own code is.
HOST_FOLDER = __file__.rsplit("/runtime/", 1)[0] + "/"
#: Of a function that calls itself this many calls in a row are listed, as Python lists them.
_SAME_LINES = 3


def describe_error(error: BaseException, *, actions: bool = False) -> tuple[str, bytes | None]:
    """An error as its text for developers, and the data of a `ConvexError`."""
    if isinstance(error, MemoryError):
        let_go(error)
        return limits.out_of_memory(actions=actions) + _lines_of(error), None
    if isinstance(error, (FunctionCallError, DatabaseError)) and not _own_frames(error):
        return str(error), None
    name = type(error).__name__
    text = f"Uncaught {name}: {error}"
    return text + _lines_of(error), _data_of(error)


def is_callers_fault(error: BaseException | None) -> bool:
    """Whether a call could not be, and no line of the app's has anything to do with it."""
    return isinstance(error, FunctionCallError) and not _own_frames(error)


def _lines_of(error: BaseException) -> str:
    lines: list[str] = []
    shown = (f"\n    at {f.name} ({f.filename}:{f.lineno})" for f in _own_frames(error))
    for line, same in itertools.groupby(shown):
        count = len(list(same))
        lines += [line] * min(count, _SAME_LINES)
        if count > _SAME_LINES:
            lines.append(f"\n    … {count - _SAME_LINES} times more")
    return "".join(lines)


def describer_for(ids: ErrorIds, image: AppImage) -> Describer:
    """Describes the errors of one run: the functions folder is the app, the host is not shown."""
    return Describer(
        ids,
        in_app=_module_of_app,
        is_host=_is_host,
        data_of=_data_of,
        variables=image.report_variables,
    )


def encode_exception(describer: Describer, error: BaseException | None) -> bytes:
    """The report of what a run raised; empty when it raised nothing."""
    return b"" if error is None else encode_value(describer.describe(error))


def _module_of_app(module: str) -> str | None:
    package, dot, rest = module.partition(".")
    return rest if dot and package.startswith(APP_PACKAGE) else None


def _is_host(file: str) -> bool:
    return file.startswith(HOST_FOLDER)


def _data_of(error: BaseException) -> bytes | None:
    return codec.encode(error.data) if isinstance(error, ConvexError) else None


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames outside of the host, innermost first, as Convex lists them."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f for f in reversed(frames) if not _is_host(f.filename)]
