"""Which kinds of log streams there are here.

Owns finding them: the host's own, and those of installed packages. Never makes a stream. One
invariant: a package whose kind can't be loaded is told of, and takes no other kind with it.
"""

from __future__ import annotations

import importlib.metadata
import logging
from functools import cache

from pyconvex.log_streams.file import FileSink
from pyconvex.log_streams.sink import Sink
from pyconvex.log_streams.terminal import TerminalSink
from pyconvex.log_streams.webhook import WebhookSink

#: Where packages name theirs: the kind's wire name, and the class's import path.
GROUP = "pyconvex.log_streams"

_LOG = logging.getLogger("pyconvex.log_streams")


@cache
def sinks() -> dict[str, type[Sink]]:
    """Every kind by its name on the wire; packages don't come and go while a process lives."""
    found: dict[str, type[Sink]] = {
        kind.stream_type: kind for kind in (WebhookSink, FileSink, TerminalSink)
    }
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            kind = point.load()
            if not issubclass(kind, Sink):
                raise TypeError(f"{point.value} is no Sink")
        except Exception as error:  # whatever the import of a package raises, the others go on
            _LOG.error("Log streams of the kind %s can't be had here: %s", point.name, error)
            continue
        found[point.name] = kind
    return found
