"""The one generator behind the functions of `numpy.random`, where an app has imported it.

Owns a second generator, which stands in for the first during runs. Never imports numpy. One
invariant: after a run, everybody else goes on with the generator and the state that they had.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

#: The second one, made when it is first needed, which takes longer than most runs.
_generators: list[Any] = []


def lend(new_seed: Callable[[], int]) -> Any:
    """Put a freshly seeded generator in front; give what is returned to `take_back`."""
    numpy = sys.modules.get("numpy.random")
    if numpy is None:
        return None
    if not _generators:
        _generators.append(numpy.MT19937(0))
    before = numpy.get_bit_generator()
    numpy.set_bit_generator(_generators[0])
    numpy.seed(new_seed())
    return before


def take_back(before: Any) -> None:
    """Put the generator back that was there before."""
    if before is not None:
        sys.modules["numpy.random"].set_bit_generator(before)
