"""Large Transitions in parts, for clients that put them together.

Owns where a Transition is cut, and who takes parts. Never sends. One invariant: the parts, in their
order, are the Transition's text.

A client gives a connection up on which nothing whole has come for a while, and begins anew: over a
slow line a Transition of many megabytes would never arrive.
"""

from __future__ import annotations

import re

from pyconvex.sync.messages import TransitionChunk, encode

#: Characters of a Transition that is not cut, and of a part: Convex's number, which counts bytes.
MAX_FRAME = 5_000_000
#: The first version of the npm client that takes parts. It has its version in the path.
_FIRST_VERSION = (1, 28, 0)
_VERSION = re.compile(r"/api/(\d{1,6})\.(\d{1,6})\.(\d{1,6})[^/]*/sync\Z")


def takes_chunks(path: str) -> bool:
    """Whether the client at this path takes parts.

    >>> takes_chunks("/api/1.48.0/sync"), takes_chunks("/api/1.27.3/sync")
    (True, False)
    """
    found = _VERSION.search(path)
    return found is not None and tuple(map(int, found.groups())) >= _FIRST_VERSION


def frames(text: str, size: int | None = None) -> list[str]:
    """The frames that bring a Transition; parts have `MAX_FRAME` characters, or `size`.

    >>> frames("0123", 2)[1]
    '{"type":"TransitionChunk","chunk":"23","partNumber":1,"totalParts":2,"transitionId":"4"}'
    """
    size = size or MAX_FRAME
    if len(text) <= size:
        return [text]
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return [
        encode(
            TransitionChunk(
                chunk=part, part_number=number, total_parts=len(parts), transition_id=str(len(text))
            )
        ).decode()
        for number, part in enumerate(parts)
    ]
