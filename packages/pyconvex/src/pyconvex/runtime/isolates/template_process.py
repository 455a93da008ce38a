"""The server's hold on one template process.

Owns its start, its two sockets and its end: load an app, ask for forks, hear of children that
ended. Never knows what isolates do. One invariant: after `stop` neither the template nor anything
that it forked runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BoxReader
from pyconvex.runtime.processes.channel import LoopChannel

#: How long importing an app may take, in seconds: large packages need some, a loop needs for ever.
LOAD_LIMIT_S = 60.0
#: From when on a file's import is worth a word, in seconds: what Convex gives an analysis.
SLOW_IMPORT_S = 4.0
#: From when on one that has not ended is: nobody should wonder why a save changes nothing.
STILL_LOADING_S = 8.0

_log = logging.getLogger(__name__)


class AppLoadError(Exception):
    """The app could not be imported; the message names file, line and reason."""


class TemplateProcess:
    """One template; `on_forked` gets an isolate's process id, `on_exited` how it ended.

    `on_lost` is called when the template ended by itself after it had loaded.
    """

    def __init__(
        self,
        *,
        on_forked: Callable[[messages.Forked], None],
        on_exited: Callable[[messages.Exited], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._on_forked = on_forked
        self._on_exited = on_exited
        self._on_lost = on_lost
        self._process: subprocess.Popen[bytes] | None = None
        self._control: LoopChannel | None = None
        self._handover: socket.socket | None = None
        self._loaded: asyncio.Future[AppSpec] | None = None
        self._stopping = False
        #: The file that is imported, and since when.
        self._importing = ""
        self._since_s = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id, None before `load`."""
        return self._process.pid if self._process is not None else None

    async def load(self, sources: dict[str, str], folder: Path, data_path: Path) -> AppSpec:
        """Start it and import the app in it; nothing of the app runs yet.

        Raises `AppLoadError` when the app can't be imported; nothing is left running then.
        """
        control, control_child = socket.socketpair()
        self._handover, handover_child = socket.socketpair()
        self._process = _spawn((control_child.fileno(), handover_child.fileno()))
        control_child.close()
        handover_child.close()
        self._loaded = asyncio.get_running_loop().create_future()
        self._loaded.add_done_callback(_retrieve)  # nobody awaits it any more after a timeout
        self._control = await LoopChannel.open(control, self._from_template, self._gone)
        self._control.send(messages.encode(messages.Load(sources, str(folder), str(data_path))))
        slow = asyncio.get_running_loop().call_later(STILL_LOADING_S, self._tell_still_loading)
        try:
            async with asyncio.timeout(LOAD_LIMIT_S):
                return await asyncio.shield(self._loaded)
        except BaseException as error:
            self._process.kill()  # it may be busy with what modules do when they are imported
            await self.stop()
            if isinstance(error, TimeoutError):
                what = f"{folder}/{self._importing}" if self._importing else "the app"
                raise AppLoadError(
                    f"Importing {what} takes more than {LOAD_LIMIT_S:g} s. Does it wait, or loop, "
                    "at its top level?"
                ) from None
            raise
        finally:
            slow.cancel()

    def fork(self, isolate_id: int, *, actions: bool) -> tuple[socket.socket, BoxReader] | None:
        """Ask for an isolate; the server's ends of its socket and its black box, None when the
        template is gone.
        """
        if self._control is None or self._handover is None or self._stopping:
            return None
        own, theirs = socket.socketpair()
        box = BoxReader()
        try:
            socket.send_fds(self._handover, [b"i"], [theirs.fileno(), box.fd])
        except OSError:
            own.close()
            box.close()
            return None  # which `_gone` tells or has told
        finally:
            theirs.close()
        self._control.send(messages.encode(messages.Fork(isolate_id, actions)))
        return own, box

    async def stop(self) -> None:
        """End it, and with it what is left of its isolates."""
        self._stopping = True
        if self._control is not None:
            self._control.close()
        if self._handover is not None:
            self._handover.close()
        if self._process is not None:
            process = self._process
            await asyncio.get_running_loop().run_in_executor(None, _wait_or_kill, process)

    def _from_template(self, body: bytes) -> None:
        message = messages.decode_from_template(body)
        assert self._loaded is not None
        match message:
            case messages.Loading():
                self._tell_if_slow()
                self._importing, self._since_s = message.path, time.monotonic()
            case messages.Loaded():
                self._tell_if_slow()
                self._loaded.set_result(msgspec.msgpack.decode(message.spec, type=AppSpec))
            case messages.LoadFailed():
                self._loaded.set_exception(AppLoadError(message.message))
            case messages.Forked():
                self._on_forked(message)
            case messages.Exited():
                self._on_exited(message)

    def _tell_if_slow(self) -> None:
        """Name a file whose import holds up every deploy and every start."""
        took_s = time.monotonic() - self._since_s
        if self._importing and took_s > SLOW_IMPORT_S:
            _log.warning(
                "%s takes %.1f s to import, with what it imports first; every deploy waits for it. "
                "Import what is heavy inside the functions that need it.",
                self._importing,
                took_s,
            )

    def _tell_still_loading(self) -> None:
        _log.warning(
            "%s is still being imported after %g s. What waits or loops at its top level is given "
            "up after %g s.",
            self._importing or "The app",
            STILL_LOADING_S,
            LOAD_LIMIT_S,
        )

    def _gone(self) -> None:
        self._control = None
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(
                AppLoadError("The process that imports the app ended before it was done.")
            )
            self._loaded.exception()  # who awaited it may have left
        elif not self._stopping:
            self._on_lost()


def _retrieve(future: asyncio.Future[AppSpec]) -> None:
    if not future.cancelled():
        future.exception()


def _spawn(descriptors: tuple[int, int]) -> subprocess.Popen[bytes]:
    module = ["-P", "-m", "pyconvex.runtime.isolates.template"]
    return subprocess.Popen(
        [sys.executable, *module, *map(str, descriptors), str(os.getpid())],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        env=_clean_environment(),
    )


def _clean_environment() -> dict[str, str]:
    """What of the server's environment a template needs; the rest could hold the host's secrets."""
    kept = ("PATH", "LANG", "LC_ALL", "HOME", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    # The same on every machine, and at every attempt: local time as on Convex, and the order of
    # sets of texts. A fixed seed gives up the defence against chosen keys that collide, which
    # costs little here: a run that takes too long is ended.
    return environment | {"TZ": "UTC", "PYTHONHASHSEED": "0"}


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
