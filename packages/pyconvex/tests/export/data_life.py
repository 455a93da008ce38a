"""Random changes of a deployment: documents of every type, in several components."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from export_world import ExportWorld

from pyconvex.values import Int64

TABLES = [("", "a"), ("", "b"), ("mail", "a"), ("mail/deep", "c")]


class Life:
    """Random changes of a deployment."""

    def __init__(self, world: ExportWorld, random: Random, *, drops: bool = True) -> None:
        self.world = world
        self.random = random
        self.drops = drops

    def change(self) -> None:
        component, table = self.random.choice(TABLES)
        kind = self.random.choices(
            ["many", "insert", "patch", "delete", "burst", "drop"], [3, 5, 5, 4, 1, self.drops]
        )[0]
        ids = list(self.world.state.get((component, table), {}))
        if kind == "drop":
            self.world.drop(table, component)
        elif kind in ("insert", "many", "burst") or not ids:
            count = {"many": 7, "burst": 40}.get(kind, 1)
            documents = [self.document() for _ in range(count)]
            self.world.write(
                lambda db: [db.insert(table, document) for document in documents], component
            )
        else:
            chosen = self.random.sample(ids, min(len(ids), self.random.randint(1, 5)))
            for_each = {"patch": self.patch, "delete": self.delete}[kind]
            self.world.write(lambda db: [for_each(db, id) for id in chosen], component)

    def patch(self, db: Any, id: str) -> None:
        db.patch(id, {"n": float(self.random.randint(0, 99))})

    def delete(self, db: Any, id: str) -> None:
        db.delete(id)

    def document(self) -> dict[str, Any]:
        return {
            "n": float(self.random.randint(0, 99)),
            "i": Int64(self.random.randint(-(2**63), 2**63 - 1)),
            "f": self.random.choice([math.inf, -0.0, 0.0, 1e300, 5e-324]),
            "b": self.random.randbytes(self.random.randint(0, 9)),
            "s": self.random.choice(["", "ä\n", '{"$integer":"BwAAAAAAAAA="}', "\0"]),
        }
