"""The isolate: a forked process that runs functions until the server is gone.

Owns the loop between the channel and the runs. Never listens, never commits. One invariant: queries
and mutations run one at a time; what one leaves behind in the process is the app author's own
module state, never another caller's data.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sysconfig
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

import msgspec

from pyconvex import identity
from pyconvex.database import Catalog
from pyconvex.runlog import Report
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BlackBox
from pyconvex.runtime.processes.channel import BlockingChannel, LoopChannel
from pyconvex.runtime.processes.memory import limit_memory
from pyconvex.runtime.running import limits
from pyconvex.runtime.running.action import ActionRunner
from pyconvex.runtime.running.errors import HOST_FOLDER
from pyconvex.runtime.running.output import capture_output
from pyconvex.runtime.running.run import PureRun
from pyconvex.runtime.running.schema_check import CHECK, check_page
from pyconvex.storage import Reader

#: Which action the code that runs right now belongs to.
_CURRENT_ACTION: ContextVar[int | None] = ContextVar("pyconvex_current_action", default=None)


def run_isolate(
    image: AppImage, data_path: str, sock: socket.socket, box: BlackBox, *, actions: bool
) -> None:
    """Serve runs over `sock` until the server closes it; what they tell is in `box` meanwhile."""
    capture_output()
    reader = Reader(Path(data_path))
    if actions:
        limit_memory(limits.ACTION_MEMORY_LIMIT_BYTES + limits.ACTION_STACKS_BYTES)
        asyncio.run(_serve_actions(image, reader, sock, box))
    else:
        limit_memory(limits.PURE_MEMORY_LIMIT_BYTES)
        _serve_pure(image, reader, BlockingChannel(sock), box)


def _serve_pure(image: AppImage, reader: Reader, channel: BlockingChannel, box: BlackBox) -> None:
    catalog = Catalog()
    while (body := channel.receive()) is not None:
        start = messages.decode_to_isolate(body)
        assert isinstance(start, messages.Start)
        head = reader.begin()
        run: PureRun | None = None
        try:
            if start.announce:
                channel.send(messages.encode(messages.Opened(start.run_id, head.ts)))
            if start.kind == CHECK:
                finished = check_page(image.components, reader, start)
            else:
                who = identity.decode(start.identity)
                run = PureRun(image, reader, catalog, start, who, box)
                finished = run.execute()
                if isinstance(run.raised, MemoryError):  # nobody knows what else of it failed
                    finished = msgspec.structs.replace(finished, leaves=True)
        finally:
            reader.end()
        channel.send(messages.encode(finished))
        if run is not None:
            run.over()
        if finished.leaves:
            return


async def _serve_actions(
    image: AppImage, reader: Reader, sock: socket.socket, box: BlackBox
) -> None:
    closed = asyncio.Event()
    actions = _Actions(image, reader, box)
    signal.signal(signal.SIGUSR1, actions.tell_who_blocks)
    actions.channel = await LoopChannel.open(sock, actions.on_frame, closed.set)
    await closed.wait()


class _Actions:
    """The actions under way in this process; `channel` is there before the first frame."""

    channel: LoopChannel

    def __init__(self, image: AppImage, reader: Reader, box: BlackBox) -> None:
        self._loop = asyncio.get_running_loop()
        self._runner = ActionRunner(image, reader, self._send, box=box)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        #: Runs that the server has told to stop.
        self._told: set[int] = set()

    def on_frame(self, body: bytes) -> None:
        """The server wants something."""
        match messages.decode_to_isolate(body):
            case messages.CallBack() as reply:
                self._runner.call_back(reply)
            case messages.Ping():
                # After the first steps of what has just been started: one of them may block.
                self._loop.call_soon(self._send, messages.Pong())
            case messages.Cancel(run_id):
                if run_id in self._tasks:
                    self._told.add(run_id)
                    self._tasks[run_id].cancel()
            case messages.Start() as start:
                task = self._tasks[start.run_id] = asyncio.create_task(self._run(start))
                task.add_done_callback(lambda task: self._ended(start.run_id, task))

    async def _run(self, start: messages.Start) -> None:
        _CURRENT_ACTION.set(start.run_id)
        try:
            finished = await self._runner.run(start, identity.decode(start.identity))
        except asyncio.CancelledError:
            if start.run_id not in self._told:
                raise  # the process ends, and the server tells why
            finished = _cancelled(start.run_id, leaves=self._runner.left_thread)
        self._send(finished)

    def _ended(self, run_id: int, task: asyncio.Task[None]) -> None:
        del self._tasks[run_id]
        if task.cancelled() and run_id in self._told:
            self._send(_cancelled(run_id))  # before its first step: both came in one piece
        self._told.discard(run_id)

    def _send(self, frame: messages.Frame) -> None:
        self.channel.send(messages.encode(frame))
        if self.channel.is_drained:
            self._runner.sent()

    def tell_who_blocks(self, _: int, frame: FrameType | None) -> None:
        """The loop stands still; runs between two steps of whatever blocks it, in its context."""
        run_id = _CURRENT_ACTION.get()
        if run_id is not None:
            told = messages.Blocked(run_id, _line_of_author(frame))
            self.channel.send_now(messages.encode(told))


def _cancelled(run_id: int, *, leaves: bool = False) -> messages.Finished:
    return messages.Finished(run_id, None, "Cancelled", None, Report(), True, b"", leaves=leaves)


def _line_of_author(frame: FrameType | None) -> str:
    """Where the author's code is: the innermost frame outside of the host and of libraries."""
    innermost = frame
    libraries = (
        HOST_FOLDER,
        *{sysconfig.get_path(n) + "/" for n in ("stdlib", "purelib", "platlib")},
    )
    while frame is not None and frame.f_code.co_filename.startswith((*libraries, "<")):
        frame = frame.f_back
    found = frame or innermost
    return (
        f"{found.f_code.co_filename}:{found.f_lineno}" if found is not None else "an unknown line"
    )
