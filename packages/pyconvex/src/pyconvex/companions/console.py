"""What a companion prints, on the host's console.

Owns the prefix, and how much comes through. Never keeps more than the last line. One invariant: a
companion that prints without an end waits for itself, not the host for it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

#: A longer line is parted.
MOST_LINE_BYTES = 8 * 1024
#: Between two looks, so that a flood costs the host next to nothing: 160 kB a second come through.
PAUSE_S = 0.1
_MOST_BYTES = 16 * 1024

#: Takes a line without its end.
Say = Callable[[str], None]


class Lines:
    """Bytes become lines.

    >>> lines = Lines()
    >>> lines.feed(b"one\\ntw"), lines.feed(b"o\\n\\nthree"), lines.rest()
    (['one'], ['two'], ['three'])
    """

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, content: bytes) -> list[str]:
        """The lines that are whole now; empty ones are left out."""
        *whole, self._pending = (self._pending + content).split(b"\n")
        while len(self._pending) >= MOST_LINE_BYTES:
            whole.append(self._pending[:MOST_LINE_BYTES])
            self._pending = self._pending[MOST_LINE_BYTES:]
        return [line for each in whole if (line := _text(each))]

    def rest(self) -> list[str]:
        """What had no end yet."""
        found, self._pending = _text(self._pending), b""
        return [found] if found else []


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip()


async def relay(output: asyncio.StreamReader, say: Say) -> None:
    """Say each line until there are no more."""
    lines = Lines()
    while content := await output.read(_MOST_BYTES):
        for line in lines.feed(content):
            say(line)
        await asyncio.sleep(PAUSE_S)
    for line in lines.rest():
        say(line)


def to_stderr(name: str, line: str) -> None:
    """Where it goes: never to the output, which may be lines of JSON for a program."""
    print(f"[{name}] {line}", file=sys.stderr, flush=True)
