"""Frames in pieces."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runtime.processes.channel import (
    MAX_FRAME_BYTES,
    BlockingChannel,
    FrameBuffer,
    FrameTooLargeError,
    LoopChannel,
    frame,
)

BODIES = st.lists(st.binary(max_size=40), max_size=8)


@given(bodies=BODIES, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_frames_come_whole_and_in_order_whatever_the_pieces(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(map(frame, bodies))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    buffer = FrameBuffer()
    received: list[bytes] = []
    for start, end in pairwise(edges):
        received.extend(buffer.feed(stream[start:end]))
    assert received == bodies


@given(bodies=st.lists(st.binary(max_size=9), min_size=1, max_size=6), broken=st.integers(0, 5))
def test_a_frame_comes_once_though_its_reader_fails(bodies: list[bytes], broken: int) -> None:
    buffer = FrameBuffer()
    received = []
    for _ in range(2):  # the second feed continues where the first was left
        for body in buffer.feed(b"" if received else b"".join(map(frame, bodies))):
            received.append(body)
            if len(received) == broken + 1:
                break
    assert received == bodies


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    announced = (MAX_FRAME_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(FrameTooLargeError, match=f"frame of {MAX_FRAME_BYTES + 1} bytes"):
        list(FrameBuffer().feed(announced))


def test_a_peer_that_is_gone_is_an_end() -> None:
    ours, theirs = socket.socketpair()
    channel = BlockingChannel(ours)
    theirs.sendall(frame(b"last") + frame(b"cut")[:-1])
    theirs.close()
    assert channel.receive() == b"last"
    assert channel.receive() is None
    channel.send(b"to nobody")
    ours.close()


def test_a_peer_that_leaves_with_something_unread_is_an_end_too() -> None:
    ours, theirs = socket.socketpair()
    channel = BlockingChannel(ours)
    channel.send(b"never read")
    theirs.close()
    assert channel.receive() is None
    ours.close()


def test_the_loops_end_delivers_answers_and_tells_of_the_end_once() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        closed: list[int] = []
        received: asyncio.Queue[bytes] = asyncio.Queue()
        channel = await LoopChannel.open(ours, received.put_nowait, lambda: closed.append(1))
        channel.send(b"hello")
        peer = BlockingChannel(theirs)
        assert await asyncio.to_thread(peer.receive) == b"hello"
        peer.send(b"one")
        peer.send(b"two")
        assert [await received.get(), await received.get()] == [b"one", b"two"]
        theirs.close()
        while not closed:
            await asyncio.sleep(0)
        channel.send(b"to nobody")
        channel.close()
        await asyncio.sleep(0)
        assert closed == [1]

    asyncio.run(main())


def test_frames_that_are_sent_soon_leave_together_and_in_order() -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        closed = asyncio.Event()
        channel = await LoopChannel.open(near, lambda body: None, closed.set)
        far.settimeout(10)
        channel.send_soon(b"one")
        channel.send_soon(b"two")
        far.setblocking(False)
        with pytest.raises(BlockingIOError):
            far.recv(100)
        far.settimeout(10)
        await asyncio.sleep(0)
        assert far.recv(100) == frame(b"one") + frame(b"two")
        channel.send_soon(b"three")
        channel.send(b"four")
        assert far.recv(100) == frame(b"three") + frame(b"four")
        channel.send_soon(b"five")
        channel.close()
        assert far.recv(100) == frame(b"five")
        far.close()
        await closed.wait()

    asyncio.run(main())
