"""A store, its committer and transactions over them, with a clock and randomness of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from pyconvex.database import Catalog, Committed, Committer, Namespace, Transaction
from pyconvex.storage import Proposal, Store

NOW_MS = 1_700_000_000_000.0


class World:
    """One deployment's data, driven step by step."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder, sync=lambda fd: None)
        self.committer = Committer(self.store)
        self.random = Random(7)
        self.catalog = Catalog()
        self.now_ms = NOW_MS
        self._open: list[Transaction] = []

    def begin(self, **options: object) -> Transaction:
        """A transaction at the newest snapshot; each has a reader of its own."""
        self.now_ms += 1
        tx = Transaction(
            self.store.reader(),
            now_ms=self.now_ms,
            random=self.random,
            catalog=options.pop("catalog", self.catalog),  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )
        self._open.append(tx)
        return tx

    def commit(self, *transactions: Transaction) -> list[object]:
        return list(self.committer.commit([roundtrip(tx.proposal()) for tx in transactions]))

    def write(self, change: Callable[[Namespace], object], component: str = "") -> object:
        """Run one change in a transaction of its own, which must commit; gives its answer."""
        tx = self.begin()
        answer = change(tx.namespace(component))
        [outcome] = self.commit(tx)
        assert isinstance(outcome, Committed), outcome
        self.end(tx)
        return answer

    def read(self, look: Callable[[Namespace], object], component: str = "") -> object:
        tx = self.begin()
        answer = look(tx.namespace(component))
        self.end(tx)
        return answer

    def end(self, tx: Transaction) -> None:
        tx._reader.close()
        self._open.remove(tx)

    def close(self) -> None:
        for tx in self._open:
            tx._reader.close()
        self.committer.close()
        self.store.close()


def roundtrip(proposal: Proposal) -> Proposal:
    """What arrives at the server of what an isolate sent."""
    return Proposal.decode(proposal.encode())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data")
    yield world
    world.close()


@pytest.fixture
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    made: list[World] = []

    def make() -> World:
        made.append(World(tmp_path_factory.mktemp("world")))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def field() -> Callable[[Sequence[dict[str, object]] | object, str], list[object]]:
    """One field of each document."""
    return lambda documents, name: [document[name] for document in documents]
