"""System queries while no app is in force: before a first deploy, or until a variable is set.

Owns their runs, in the server's own process. Never runs code of an app: whoever asks for a function
is told that there is none yet.
"""

from __future__ import annotations

import asyncio
from contextvars import Context

from pyconvex import identity
from pyconvex.database import Catalog
from pyconvex.identity import Admin
from pyconvex.runtime import system_queries
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.isolates.runs import Run
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running.run import PureRun
from pyconvex.storage import Reader

_NO_APP = AppImage({}, AppSpec([]))


class NoApp:
    """Runs system queries over `reader`, and refuses all else."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._catalog = Catalog()

    def submit(self, start: messages.Start) -> Run:
        """Run a system query at once. Raises `HostError` (503) for everything else."""
        who = identity.decode(start.identity)
        if not (system_queries.is_system(start.path) and isinstance(who, Admin)):
            raise HostError(503, "NotDeployed", "No app has been deployed here yet.")
        loop = asyncio.get_running_loop()
        opened = loop.create_future() if start.announce else None
        run = Run(start, loop.create_future(), opened, None)
        head = self._reader.begin()
        try:
            if opened is not None:
                opened.set_result(head.ts)
            pure = PureRun(_NO_APP, self._reader, self._catalog, start, who)
            # In a context of its own, where the server's tasks don't see that a run is active.
            run.done.set_result(Context().run(pure.execute))
        finally:
            self._reader.end()
        return run
