"""A store in a folder of its own, and proposals that need no knowledge of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyconvex.storage import DocumentWrite, Proposal, QueueAppend, Reader, Replay, Store
from pyconvex.storage.model import FIRST_DATA_TABLET

TABLET = FIRST_DATA_TABLET


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens stores that are closed when the test ends; one at a time may live in one folder."""
    opened: list[Store] = []

    def open_(folder: str = "data", **options: object) -> Store:
        store = Store.open(tmp_path / folder, **options)  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield open_
    for store in opened:
        if store._folder._lock_fd is not None:
            store.close()


@pytest.fixture
def insert() -> Callable[..., Proposal]:
    """A proposal that inserts one document with one index entry, and what else is asked for."""

    def insert_(
        name: str,
        doc: bytes = b"doc",
        *,
        tablet: int = TABLET,
        queue: bytes | None = None,
        replay: Replay | None = None,
    ) -> Proposal:
        id = name.encode().ljust(16, b"\0")
        write = DocumentWrite(tablet, id, doc, None, (), ((tablet + 1, name.encode()),))
        appends = () if queue is None else (QueueAppend(1, queue),)
        return Proposal(0, b"", (write,), appends, replay)

    return insert_


@pytest.fixture
def contents() -> Callable[[Store | Reader], dict[str, bytes]]:
    """Every document of the test table by name; checks that entries and documents agree."""

    def contents_(source: Store | Reader) -> dict[str, bytes]:
        reader = source.reader() if isinstance(source, Store) else source
        reader.begin()
        documents = reader.scan(TABLET, b"", None, descending=False, limit=-1)
        entries = reader.scan(TABLET + 1, b"", None, descending=False, limit=-1)
        reader.end()
        if isinstance(source, Store):
            reader.close()
        assert {row[1] for row in documents} == {row[1] for row in entries}
        assert len(documents) == len(entries)
        return {row[0].decode(): row[3] for row in entries}

    return contents_
