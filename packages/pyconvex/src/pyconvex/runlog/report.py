"""What a run reports beside its result: lines, metadata, its error, what it used.

Owns the values that travel from isolate to server, and collecting metadata. Never sends anything.
One invariant: collecting changes nothing that the function can see, so reports break neither purity
nor caching, and survive a rollback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from pyconvex.runlog.lines import LogLine

#: Metadata of one run: more is counted and left out.
MAX_ITEMS = 4096
#: Bytes of one item, and of all items of one run.
MAX_ITEM_BYTES = 1024 * 1024
MAX_ITEMS_BYTES = 4 * 1024 * 1024


class Item(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One piece of metadata.

    `kind` is a free word of whoever reports and whoever reads, such as "shop.exposure".
    """

    kind: str
    #: The component whose function reported it.
    component: str
    #: Plain data as msgpack.
    value: bytes
    #: True when the response waits until the item would survive a power cut.
    durable: bool = False
    #: True when each new caller or subscriber of a cached result is worth another report.
    each_caller: bool = False


class Usage(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What a run used of its database, and of the processor."""

    documents_read: int = 0
    bytes_read: int = 0
    documents_written: int = 0
    bytes_written: int = 0
    #: Milliseconds on the clock and on the processor, inside the isolate.
    wall_ms: float = 0.0
    cpu_ms: float = 0.0


class Report(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """All that a run reports; it travels in one piece with the result."""

    usage: Usage = Usage()
    lines: tuple[LogLine, ...] = ()
    items: tuple[Item, ...] = ()
    #: An `ExceptionReport` as msgpack, empty for a run that raised nothing.
    exception: bytes = b""
    #: Whose call it was; None also for a query that did not look.
    user_id: str | None = None
    #: Items that found no room.
    items_dropped: int = 0
    #: True when the function never began to run its own code, or had ended it: what was asked for
    #: is not there or does not validate.
    callers_fault: bool = False
    #: The session of the client's analytics that the run belongs to, where one was named.
    session_id: str | None = None


class ItemsListener(Protocol):
    """Hears of metadata as it comes."""

    def item(self, item: Item, *, soon: bool) -> None:
        """An item has come; with `soon` it may be told before the run ends."""


class Items:
    """Collects the metadata of one run.

    With `on_soon`, which is called for each, packed items gather in `soon`: they may be told before
    the run ends. `listener` hears of each item as it comes.
    """

    def __init__(
        self,
        on_soon: Callable[[], None] | None = None,
        listener: ItemsListener | None = None,
    ) -> None:
        self.items: list[Item] = []
        self.soon: list[Item] = []
        self.dropped = 0
        self._on_soon = on_soon
        self._listener = listener
        self._count = self._bytes = 0

    def add(
        self, kind: str, component: str, value: Any, *, durable: bool, each_caller: bool
    ) -> bool:
        """Add one item, unless there is no room for it; raises `TypeError` for what is no plain
        data.
        """
        encoded = encode_value(value)
        if not self._takes(len(encoded)):
            return False
        item = Item(kind, component, encoded, durable, each_caller)
        self.items.append(item)
        if self._listener is not None:
            self._listener.item(item, soon=False)
        return True

    def add_packed(self, kind: str, component: str, value: bytes, *, durable: bool) -> bool:
        """Add one whose value is msgpack already, unless there is no room for it."""
        if not self._takes(len(value)):
            return False
        item = Item(kind, component, value, durable)
        if self._listener is not None:
            self._listener.item(item, soon=self._on_soon is not None)
        if self._on_soon is None:
            self.items.append(item)
        else:
            self.soon.append(item)
            self._on_soon()
        return True

    def take_soon(self) -> tuple[Item, ...]:
        """What gathered in `soon`; it is told now."""
        taken = tuple(self.soon)
        del self.soon[: len(taken)]  # a thread may be adding to it
        return taken

    def _takes(self, size: int) -> bool:
        full = self._count >= MAX_ITEMS or self._bytes + size > MAX_ITEMS_BYTES
        if full or size > MAX_ITEM_BYTES:
            self.dropped += 1
            return False
        self._count += 1
        self._bytes += size
        return True


def encode_value(value: Any) -> bytes:
    """Plain data as msgpack; raises `TypeError` for anything else.

    >>> decode_value(encode_value({"$flag": [1, "b", None]}))
    {'$flag': [1, 'b', None]}
    """
    try:
        return _encode(value)
    except (TypeError, OverflowError, ValueError, RecursionError) as error:
        raise TypeError(
            f"ctx.report takes plain data (None, bool, int, float, str, bytes, lists and "
            f"dictionaries of them): {error}"
        ) from None


def decode_value(encoded: bytes) -> Any:
    """The plain data of an item."""
    return _decode(encoded)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
