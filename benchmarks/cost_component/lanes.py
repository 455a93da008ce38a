"""A lane with nothing to carry."""

from collections.abc import Mapping, Sequence

from pyconvex.delivery import QueueLane, Request
from pyconvex.values import Value


class IdleLane(QueueLane):
    """For the memory of the process that runs lanes."""

    queue = "idle"

    def encode(self, rows: Sequence[Value], env: Mapping[str, str]) -> Request:
        raise NotImplementedError
