"""The isolate: a forked process that runs functions until the server is gone.

Owns the loop between the channel and the runs. Never listens, never commits. One invariant: queries
and mutations run one at a time; what one leaves behind in the process is the app author's own
module state, never another caller's data.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from pyconvex import identity
from pyconvex.database import Catalog
from pyconvex.runtime import messages
from pyconvex.runtime.action import ActionRunner
from pyconvex.runtime.analysis import AppImage
from pyconvex.runtime.channel import BlockingChannel, LoopChannel
from pyconvex.runtime.output import capture_output
from pyconvex.runtime.run import PureRun
from pyconvex.runtime.schema_check import CHECK, check_page
from pyconvex.storage import Reader


def run_isolate(image: AppImage, data_path: str, sock: socket.socket, *, actions: bool) -> None:
    """Serve runs over `sock` until the server closes it."""
    capture_output()
    reader = Reader(Path(data_path))
    if actions:
        asyncio.run(_serve_actions(image, reader, sock))
    else:
        _serve_pure(image, reader, BlockingChannel(sock))


def _serve_pure(image: AppImage, reader: Reader, channel: BlockingChannel) -> None:
    catalog = Catalog()
    while (body := channel.receive()) is not None:
        start = messages.decode_to_isolate(body)
        assert isinstance(start, messages.Start)
        head = reader.begin()
        try:
            if start.announce:
                channel.send(messages.encode(messages.Opened(start.run_id, head.ts)))
            if start.kind == CHECK:
                finished = check_page(image.components, reader, start)
            else:
                run = PureRun(image, reader, catalog, start, identity.decode(start.identity))
                finished = run.execute()
        finally:
            reader.end()
        channel.send(messages.encode(finished))


async def _serve_actions(image: AppImage, reader: Reader, sock: socket.socket) -> None:
    closed = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def run(start: messages.Start) -> None:
        channel.send(messages.encode(await runner.run(start, identity.decode(start.identity))))

    def on_frame(body: bytes) -> None:
        message = messages.decode_to_isolate(body)
        if isinstance(message, messages.CallBack):
            runner.call_back(message)
            return
        task = asyncio.create_task(run(message))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    channel = await LoopChannel.open(sock, on_frame, closed.set)
    runner = ActionRunner(image, reader, lambda frame: channel.send(messages.encode(frame)))
    await closed.wait()
