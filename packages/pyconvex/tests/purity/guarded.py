"""Functions run under the guards, in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyconvex.runtime import purity
from pyconvex.runtime.purity.loop import new_loop

NOW_MS = 1_700_000_000_123.0


@dataclass
class Call:
    """A function call under way, with these variables."""

    environment: Mapping[str, str]


@dataclass
class Ran:
    """What a function gave, and whether it looked at a clock."""

    value: Any
    observed_time: bool


def run_pure(
    function: Callable[[], Any],
    *,
    seed: int = 1,
    now_ms: float = NOW_MS,
    ticking: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Run a function, and what it returns if that can be awaited, as a query would be."""

    async def main() -> Any:
        purity.enter_call(Call(environment or {}))
        value = function()
        return await value if inspect.isawaitable(value) else value

    active = purity.ActiveRun(now_ms, purity.Entropy(seed.to_bytes(8, "little")))
    active.ticking = ticking
    purity.begin(active)
    try:
        return Ran(new_loop().run(main()), active.observed_time)
    finally:
        purity.end()
