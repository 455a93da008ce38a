"""Short looks at the newest snapshot, for what an action needs of the database beside its calls.

Owns the reader of one action isolate. Never writes, and never keeps a snapshot open while an action
waits. One invariant: one look at a time, since none of them awaits anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from pyconvex.database import Catalog, Transaction
from pyconvex.storage import Reader


class Snapshots:
    """Looks through one reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._catalog = Catalog()

    @contextmanager
    def newest(self) -> Iterator[Transaction]:
        """The newest snapshot inside the block: table numbers, variables."""
        self._reader.begin()
        try:
            # Reads only, so the clock and the source of new ids don't matter.
            yield Transaction(
                self._reader,
                now_ms=0.0,
                random=random.Random(0),  # noqa: S311  # never asked
                catalog=self._catalog,
            )
        finally:
            self._reader.end()
