"""The host's own export as a source of the sync, without sockets, and random work on its data.

Owns the translation of requests. The pages are made by the very code that the server runs.
"""

from __future__ import annotations

import json
import math
import random
from typing import Any

from export_world import ExportWorld
from warehouse_worlds import untagged

from posthog_convex.warehouse.source.retry import Answer
from posthog_convex.warehouse.source.steps import Request
from pyconvex.export.data_sync import PageLimits
from pyconvex.export.messages import DataSync, SelectionText
from pyconvex.values import Int64

TABLES = [("", "users"), ("", "Users"), ("mail", "users"), ("mail/deep", "log")]
EDGES: list[Any] = [
    Int64(0), Int64(2**53 + 1), Int64(-(2**63)), Int64(2**63 - 1), 0.0, -0.0, 1.5, 1e300, 5e-324,
    math.nan, math.inf, -math.inf, True, None, "", "\0", "é\U0001f994", "NaN", b"", b"\0\xff",
    [], [Int64(1), 1.0, None], {}, {"a": {"b": [b"x", math.nan, -0.0, Int64(2**60)]}},
]  # fmt: skip


class HostSource:
    """Requests of the sync, answered by the host's export."""

    def __init__(self, world: ExportWorld, limits: PageLimits) -> None:
        self.answers = world.new_answers(limits)

    def ask(self, request: Request) -> Answer:
        if request.path != "/api/v1/data/sync":
            return Answer(404)
        asked = json.loads(request.body or b"{}")
        selection = asked.get("selection")
        head, body = self.answers.answer(
            DataSync(
                asked.get("cursor"),
                SelectionText(None if selection is None else json.dumps(selection).encode()),
                "a-sync",
                page_size=asked.get("pageSize"),
                tell_dropped=asked.get("tellDropped", False),
            )
        )
        if head.status != 200:
            body = json.dumps({"code": head.code, "message": head.message}).encode()
        return Answer(head.status, body)

    def close(self) -> None:
        self.answers.close()


def live(world: ExportWorld, rng: random.Random) -> None:
    """One random thing happens to the deployment."""
    component, table = rng.choice(TABLES)
    ids = list(world.state.get((component, table), {}))
    dice = rng.random()
    if dice < 0.07:
        world.drop(table, component)
    elif dice < 0.12:  # replaced: another table of the name, in the same moment
        world.drop(table, component)
        documents = [_document(rng) for _ in range(rng.randrange(1, 6))]
        world.write(lambda db: [db.insert(table, document) for document in documents], component)
    elif ids and dice < 0.55:
        chosen = rng.sample(ids, min(len(ids), rng.choice([1, 2, 9])))
        world.write(lambda db: [_change(db, id, rng) for id in chosen], component)
    else:
        documents = [_document(rng) for _ in range(rng.choice([1, 1, 3, 25]))]
        world.write(lambda db: [db.insert(table, document) for document in documents], component)


def expected(world: ExportWorld, ts: int) -> Any:
    """The deployment's documents at a timestamp."""
    then = max((known for known in world.history if known <= ts), default=None)
    return {} if then is None else untagged(world.history[then])


def _change(db: Any, id: str, rng: random.Random) -> None:
    match rng.randrange(3):
        case 0:
            db.delete(id)
        case 1:
            db.replace(id, _document(rng))
        case _:
            db.patch(id, {"n": Int64(rng.randrange(100)), "any": rng.choice(EDGES)})


def _document(rng: random.Random) -> dict[str, Any]:
    document: dict[str, Any] = {"n": Int64(rng.randrange(-100, 100))}
    if rng.random() < 0.7:
        document["N"] = rng.choice([1.5, 2.0, math.nan, -0.0, None])
    if rng.random() < 0.7:
        document["any"] = rng.choice(EDGES)
    if rng.random() < 0.7:
        document["text"] = rng.choice(["", "a", "b"])
    if rng.random() < 0.02:
        document["large"] = "x" * (1024 * 1024 - 2000)
    return document
