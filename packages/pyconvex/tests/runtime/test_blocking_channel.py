"""The blocking end of a channel."""

from __future__ import annotations

import socket

from pyconvex.runtime.processes.channel import BlockingChannel, frame


def test_frames_that_came_in_one_piece_are_pending_though_the_socket_is_empty() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = BlockingChannel(ours)
        theirs.sendall(frame(b"one") + frame(b"two"))
        assert not channel.pending
        assert channel.receive() == b"one"
        assert channel.pending
        assert channel.receive() == b"two"
        assert not channel.pending
