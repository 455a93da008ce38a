"""An error with everything that led to it.

Owns the walk along causes, contexts and group members. Never looks at frames. One invariant: each
error comes once, after the one that it belongs to, however they refer to each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

#: An error with more relatives than this is a group out of bounds; the first ones tell enough.
MAX_LINKS = 50


class Link(msgspec.Struct, frozen=True):
    """One error of a chain; ids count from 0, the error that was reported."""

    error: BaseException
    id: int
    #: None for the error that was reported.
    parent: int | None = None
    #: How the parent refers to it: cause, context or member (of a group).
    source: str | None = None


def chain(error: BaseException) -> list[Link]:
    """The error, what it came from, and for a group its members, depth first.

    >>> try:
    ...     raise ValueError("bad") from KeyError("k")
    ... except ValueError as raised:
    ...     [(type(link.error).__name__, link.parent, link.source) for link in chain(raised)]
    [('ValueError', None, None), ('KeyError', 0, 'cause')]
    """
    links: list[Link] = []
    seen: set[int] = set()
    # Depth first without recursion: a chain may be as long as the stack allowed it to become.
    waiting: list[tuple[BaseException, int | None, str | None]] = [(error, None, None)]
    while waiting and len(links) < MAX_LINKS:
        found, parent, source = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        link = Link(found, len(links), parent, source)
        links.append(link)
        relatives = [(each, link.id, how) for each, how in _relatives(found)]
        waiting.extend(reversed(relatives))
    return links


def _relatives(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    if error.__cause__ is not None:
        yield error.__cause__, "cause"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__, "context"
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield member, "member"
