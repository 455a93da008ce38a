"""The lane process: all lanes of a server, beside the app and never in its way.

Owns the socket to the server and the process's life. Never writes to the data folder and never
imports app code. One invariant: it ends with the server, whatever way the server ends.

Started by the supervisor as `python -m pyconvex.delivery.process <socket fd> <server pid>`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import traceback

from pyconvex.delivery.messages import FromLanes, Status, Stop, decode_from_server, encode
from pyconvex.delivery.roster import Roster
from pyconvex.delivery.transport import HttpTransport, Transport
from pyconvex.runtime.processes.channel import LoopChannel
from pyconvex.runtime.processes.parent import die_with

#: Where processors are short, functions go before what carries their lines: a third of the weight
#: of each process that runs them. That is a quarter of a processor beside one of them and a
#: twenty-fifth beside eight, and never nothing. It is a fixed number because a process can't take
#: back its niceness without rights that a server should not have: a rule that looks at the backlog
#: could only make lanes nicer. And a backlog helps itself: it makes full batches, which cost least
#: for an event, while the run log keeps an hour of a busy deployment's every line.
NICENESS = 5
#: Objects made, and younger collections, before the collector runs: entries that lanes share live
#: for a second, and Python's own threshold of 700 had it look at them again and again, which took
#: half of a lane's time.
COLLECT_AFTER = (20_000, 20, 50)
#: At most so often the server hears how the lanes are doing, when something changed.
STATUS_INTERVAL_S = 1.0
#: At least so often it hears so anyway: a process that is silent is taken for hung.
HEARTBEAT_S = 10.0
#: How long the last frames may take to leave.
GOODBYE_S = 1.0


async def serve(sock: socket.socket, transport: Transport) -> None:
    """Run lanes for the server at the other end, until it says stop or is gone.

    Raises what ended a lane's loop, so that the process ends and is started again.
    """
    # Frames, a lane's crash, or None when the server is gone.
    inbox: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
    channel = await LoopChannel.open(sock, inbox.put_nowait, lambda: inbox.put_nowait(None))

    def post(message: FromLanes) -> None:
        channel.send(encode(message))

    roster = Roster(post, inbox.put_nowait, transport)
    reporter = asyncio.create_task(_report(roster, channel))
    try:
        while (arrived := await inbox.get()) is not None:
            if isinstance(arrived, BaseException):
                raise arrived
            message = decode_from_server(arrived)
            if isinstance(message, Stop):
                await roster.stop(message.deadline_s)
                post(Status(roster.statuses()))
                await _say_goodbye(channel, inbox)
                return
            roster.receive(message)
    finally:
        reporter.cancel()
        roster.abandon()
        channel.close()
        await transport.aclose()


def main() -> None:
    """Entry point of the process."""
    fd, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    os.nice(NICENESS)
    gc.freeze()  # what imports made for good
    gc.set_threshold(*COLLECT_AFTER)
    # Ctrl-C reaches the whole terminal; the server decides when lanes end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve_then_exit(socket.socket(fileno=fd)))


async def _serve_then_exit(sock: socket.socket) -> None:
    status = 0
    try:
        await serve(sock, HttpTransport())
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        status = 1
    # Now, not through the loop's own end: that may wait minutes for a name look-up in a thread.
    os._exit(status)


async def _report(roster: Roster, channel: LoopChannel) -> None:
    now = asyncio.get_running_loop().time
    last, sent_at = b"", now()
    while True:
        status = encode(Status(roster.statuses()))
        if status != last or now() - sent_at >= HEARTBEAT_S:
            channel.send(status)
            last, sent_at = status, now()
        await asyncio.sleep(STATUS_INTERVAL_S)


async def _say_goodbye(
    channel: LoopChannel, inbox: asyncio.Queue[bytes | BaseException | None]
) -> None:
    """Close when everything has been sent."""
    channel.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            while await inbox.get() is not None:
                pass


if __name__ == "__main__":
    main()
