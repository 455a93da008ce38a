"""The template: a single-threaded process that imports the app once and forks isolates.

Owns the imported app of one deploy. Never runs a function itself and never starts a thread, so that
a fork is always of a quiet process. One invariant: every process it forks dies with it, and it dies
with the server.
"""

from __future__ import annotations

# Before the app: what libraries do after a fork must find that module's lock free again, and such
# handlers run in the order in which they were made.
import concurrent.futures.thread  # noqa: F401
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import traceback

import msgspec

from pyconvex.runtime import purity
from pyconvex.runtime.app.analysis import analyse
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.app.imports import MissingImportsError
from pyconvex.runtime.app.loader import APP_PACKAGE
from pyconvex.runtime.isolates.isolate import run_isolate
from pyconvex.runtime.isolates.isolate_process import end_group
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BlackBox, SharedBlackBox
from pyconvex.runtime.processes.channel import BlockingChannel
from pyconvex.runtime.processes.parent import die_with, outlive

#: Objects made, and younger collections, before the collector runs in an isolate: a run makes some
#: hundred that die with it, and Python's own threshold of 700 had it look after every other run.
COLLECT_AFTER = (20_000, 20, 50)


class Template:
    """The template's loop: load, then fork on request and tell of children that ended."""

    def __init__(self, control: socket.socket, handover: socket.socket) -> None:
        self._control = control
        self._handover = handover
        self._channel = BlockingChannel(control)
        self._children: dict[int, int] = {}

    def serve(self) -> None:
        """Run until the server is gone."""
        first = self._channel.receive()
        if first is None:
            return
        load = messages.decode_to_template(first)
        assert isinstance(load, messages.Load)
        image = self._load(load)
        if image is None:
            return
        # Objects made by imports live for ever: keep the collector, and so copy-on-write, off them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # From here on it never waits for anything but its sockets, so it sees the server's end, and
        # has the time to end also what isolates started.
        outlive()
        try:
            self._fork_until_closed(image, load.data_path, wake_read)
        finally:
            self._end_children()

    def _fork_until_closed(self, image: AppImage, data_path: str, wake_read: int) -> None:
        control = self._control.fileno()
        while True:
            # Frames that came in one piece wait in the channel, where select can't see them.
            pending = self._channel.pending
            readable, _, _ = select.select([control, wake_read], [], [], 0 if pending else None)
            if wake_read in readable:
                os.read(wake_read, 4096)
                self._reap()
            if (pending or control in readable) and not self._fork_next(image, data_path):
                return

    def _load(self, load: messages.Load) -> AppImage | None:
        purity.install()
        try:
            with purity.no_network():
                image = analyse(load.sources, load.folder, on_module=self._on_module).hooked()
        except BaseException as error:
            self._send(messages.LoadFailed(load_failure(error, load.folder)))
            return None
        _warn_of_threads()
        self._send(messages.Loaded(msgspec.Raw(msgspec.msgpack.encode(image.spec))))
        return image

    def _on_module(self, path: str) -> None:
        self._send(messages.Loading(path))

    def _fork_next(self, image: AppImage, data_path: str) -> bool:
        body = self._channel.receive()
        if body is None:
            return False
        request = messages.decode_to_template(body)
        assert isinstance(request, messages.Fork)
        _, descriptors, _, _ = socket.recv_fds(self._handover, 1, 2)
        template_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_isolate(image, data_path, request, descriptors, template_pid)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(OSError):  # it did so itself, and may be gone
            os.setpgid(pid, pid)
        self._children[pid] = request.isolate_id
        self._send(messages.Forked(request.isolate_id, pid))
        return True

    def _become_isolate(
        self,
        image: AppImage,
        data_path: str,
        request: messages.Fork,
        descriptors: list[int],
        template_pid: int,
    ) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the server's to handle
            os.setpgid(0, 0)
            die_with(template_pid)
            self._control.close()
            self._handover.close()
            sock = socket.socket(fileno=descriptors[0])
            box = (SharedBlackBox if request.actions else BlackBox)(descriptors[1])
            os.close(descriptors[1])
            run_isolate(image, data_path, sock, box, actions=request.actions)
            status = 0
        except SystemExit as left:  # by the app's code: its caller is told
            status = left.code if isinstance(left.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            end_group(pid)
            isolate_id = self._children.pop(pid, None)
            if isolate_id is not None:
                self._send(messages.Exited(isolate_id, status))

    def _end_children(self) -> None:
        """Kill and reap: a child that computes doesn't see its socket close."""
        for pid in self._children:
            end_group(pid)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _send(self, message: messages.Frame) -> None:
        self._channel.send(messages.encode(message))


def _warn_of_threads() -> None:
    """A fork has the thread alone that forks, and whatever lock another one held, for ever."""
    others = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    if others:
        print(
            f"Importing the app started threads ({', '.join(others)}). Functions run in forks of "
            "this process, which don't have them: start threads in the actions that need them.",
            file=sys.stderr,
        )


def load_failure(error: BaseException, folder: str) -> str:
    """The error as its author needs it: what is wrong and on which line of their own files."""
    if isinstance(error, (MissingImportsError, purity.ImportTimeNetworkError)):
        return str(error)  # which names lines itself
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(folder.rstrip("/") + "/")]
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
    elif own:
        where = f"{own[-1].filename}:{own[-1].lineno}"
    else:
        where = folder
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith(APP_PACKAGE + "."):
        # The private name under which the folder is imported says nothing to its author.
        path = (error.name or "").partition(".")[2].replace(".", "/")
        return f"{where}: there is no {folder}/{path}.py to import."
    return f"{where}: {type(error).__name__}: {error}"


def main() -> None:
    """Entry point: the two sockets' descriptors and the server's pid are the arguments."""
    control, handover, server_pid = (int(argument) for argument in sys.argv[1:4])
    die_with(server_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An action isolate is asked with it who blocks; a new one may be asked before it can answer.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.dup2(2, 1)  # what modules print is for the developer; standard output is the command's
    # A broken pipe is the server's end as well, met while something was to be told.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Template(socket.socket(fileno=control), socket.socket(fileno=handover)).serve()


if __name__ == "__main__":
    main()
