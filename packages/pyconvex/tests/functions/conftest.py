"""A database for the facade's tests: a real store, one transaction at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pyconvex.database import Catalog, Committed, Committer, Transaction
from pyconvex.functions import DatabaseWriter, Schema
from pyconvex.functions.schema import schema_check
from pyconvex.storage import Store
from pyconvex.values import TableNumbers

NOW_MS = 1_700_000_000_000.0


class Tables:
    """One app's tables; `writing` runs a block as a mutation and commits it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder, sync=lambda fd: None)
        self.committer = Committer(self.store)
        self._reader = self.store.reader()
        self._catalog = Catalog()
        self._random = Random(11)
        self._now_ms = NOW_MS

    def declare(self, schema: Schema) -> None:
        with self._transaction(None) as tx:
            for name, table in schema.tables.items():
                indexes = {index: list(fields) for index, fields in table.indexes.items()}
                tx.namespace("").declare_table(name, indexes)
            self._commit(tx)

    @contextmanager
    def writing(self, schema: Schema) -> Iterator[DatabaseWriter]:
        with self._transaction(schema) as tx:
            yield DatabaseWriter(tx.namespace(""), schema)
            self._commit(tx)

    @contextmanager
    def _transaction(self, schema: Schema | None) -> Iterator[Transaction]:
        self._now_ms += 1
        with Transaction(
            self._reader,
            now_ms=self._now_ms,
            random=self._random,
            catalog=self._catalog,
            check=None if schema is None else checking(schema),
        ) as tx:
            yield tx

    def _commit(self, tx: Transaction) -> None:
        [outcome] = self.committer.commit([tx.proposal()])
        assert isinstance(outcome, Committed), outcome

    def close(self) -> None:
        self._reader.close()
        self.committer.close()
        self.store.close()


def checking(schema: Schema) -> Any:
    def check(
        component: str, tables: TableNumbers, table: str, document: Mapping[str, Any]
    ) -> None:
        schema_check(schema, tables, table, document)

    return check


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    tables = Tables(tmp_path / "data")
    yield tables
    tables.close()


@pytest.fixture
def tables_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Tables]]:
    """New tables at each call, for tests that run many examples."""
    made: list[Tables] = []

    def new() -> Tables:
        made.append(Tables(tmp_path_factory.mktemp("data") / "data"))
        return made[-1]

    yield new
    for tables in made:
        tables.close()
