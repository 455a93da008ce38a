"""The export process: makes pages beside the server, which never waits for one.

Owns the socket to the server and the process's life. Never writes to the data folder. One
invariant: one request is answered after the other, each from one snapshot that is open for as long
as its page is read.

Started by the server as `python -m pyconvex.export.process <socket fd> <server pid>`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

from pyconvex.export.answers import Answers
from pyconvex.export.messages import Configure, Head, decode_request, encode
from pyconvex.runtime.processes.channel import BlockingChannel
from pyconvex.runtime.processes.parent import die_with

#: Whoever exports can wait; calls of clients can't.
NICENESS = 10


def serve(sock: socket.socket) -> None:
    """Answer the server at the other end until it is gone."""
    channel = BlockingChannel(sock)
    answers: Answers | None = None
    while (frame := channel.receive()) is not None:
        request = decode_request(frame)
        if isinstance(request, Configure):
            answers = Answers(Path(request.database), request.secret)
            continue
        assert answers is not None
        try:
            head, body = answers.answer(request)
        except Exception:
            traceback.print_exc()
            message = "Your request couldn't be completed. Try again later."
            head, body = Head(500, "InternalServerError", message), b""
        channel.send(encode(head))
        sock.sendall(body)


def main() -> None:
    """Entry point of the process."""
    fd, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    # Ctrl-C reaches the whole terminal; the server decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    with contextlib.suppress(ConnectionError):  # the server is gone
        serve(socket.socket(fileno=fd))


if __name__ == "__main__":
    main()
