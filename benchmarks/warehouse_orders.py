"""The documents of the warehouse benchmark, and a data folder full of them.

Owns what an order is. Fills the folder with the database's own transactions, without a server.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from pyconvex.database import Committed, Committer, Namespace, Transaction
from pyconvex.storage import Store
from pyconvex.values import Int64

PER_TRANSACTION = 2_000
_STATES = ("new", "paid", "shipped", "returned")


def order(number: int) -> dict[str, Any]:
    """An order: text, both kinds of numbers, a boolean, a list; some 300 bytes of JSON."""
    return {
        "number": Int64(number),
        "customer": f"customer{number % 5_000}@example.com",
        "total": (number % 10_000) / 4,
        "paid": number % 3 != 0,
        "state": _STATES[number % 4],
        "items": [{"sku": f"sku-{number % 97}", "count": float(number % 5 + 1)}],
        "note": "leave it with the neighbour, please",
    }


def fill(folder: Path, documents: int) -> None:
    """A data folder with so many orders."""
    store = Store.open(folder, sync=lambda fd: None)
    committer = Committer(store)
    reader = store.reader()
    rng = random.Random(11)

    def insert(tx: Transaction, first: int) -> None:
        namespace: Namespace = tx.namespace("")
        for number in range(first, min(first + PER_TRANSACTION, documents)):
            namespace.insert("orders", order(number))

    for first in range(0, documents, PER_TRANSACTION):
        reader.begin()
        try:
            tx = Transaction(reader, now_ms=1.7e12 + first, random=rng)
            insert(tx, first)
            proposal = tx.proposal()
        finally:
            reader.end()
        [outcome] = committer.commit([proposal])
        assert isinstance(outcome, Committed), outcome
    reader.close()
    committer.close()
    store.close()
