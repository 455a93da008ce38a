"""The randomness of a run.

Owns what `random`, `secrets`, `uuid` and `os.urandom` give while a run is active. Never touches the
state that anybody else draws from. One invariant: all that a run draws comes from its seed, in the
order in which it draws.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable
from typing import Any

from pyconvex.runtime.purity.active import ActiveRun, active
from pyconvex.runtime.purity.patches import Patches

#: From 1582, when uuids begin to count, to 1970, in units of 100 ns.
_UUID_EPOCH = 0x01B21DD213814000


def guard_randomness(patches: Patches) -> None:
    """Seed every door to randomness for runs."""
    _guard_instance(patches)
    _guard_new_generators(patches)
    patches.wrap(os, "urandom", _bytes_of_run)
    patches.wrap(os, "getrandom", _bytes_of_run)
    patches.wrap(uuid, "uuid1", _time_uuid)
    patches.wrap(uuid, "getnode", _node)
    for name in ("uuid6", "uuid7"):
        patches.wrap(uuid, name, _ordered_uuid)


class _SharedRandom(random.Random):
    """The instance behind the functions of `random`; while a run is active, the run's."""

    def random(self) -> float:
        run = active()
        return super().random() if run is None else run.random.random()

    def getrandbits(self, k: int, /) -> int:
        run = active()
        return super().getrandbits(k) if run is None else run.random.getrandbits(k)

    def seed(self, a: Any = None, version: int = 2) -> None:
        run = active()
        if run is None:
            super().seed(a, version)
        else:
            run.random.seed(a, version)

    def getstate(self) -> tuple[Any, ...]:
        run = active()
        return super().getstate() if run is None else run.random.getstate()

    def setstate(self, state: tuple[Any, ...]) -> None:
        run = active()
        if run is None:
            super().setstate(state)
        else:
            run.random.setstate(state)

    @property
    def gauss_next(self) -> Any:
        """Half of a pair that `gauss` made; it must not cross from one run to the next."""
        run = active()
        return self.__dict__.get("gauss_next") if run is None else vars(run.random)["gauss_next"]

    @gauss_next.setter
    def gauss_next(self, value: Any) -> None:
        run = active()
        vars(self if run is None else run.random)["gauss_next"] = value


def _guard_instance(patches: Patches) -> None:
    shared: Any = random._inst  # what the functions are methods of
    # Methods written in Python follow the class; those of the C base are replaced by name.
    patches.set(shared, "__class__", _SharedRandom)
    for name in ("random", "getrandbits", "seed", "getstate", "setstate"):
        patches.wrap(random, name, _method(getattr(shared, name)))


def _method(method: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: method(*args, **options)

    return wrapper


def _guard_new_generators(patches: Patches) -> None:
    """Have `random.Random()`, which would ask the system, seeded by the run."""
    original = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        run = active() if a is None else None
        original(self, a if run is None else run.entropy.getrandbits(256), version)

    patches.set(random.Random, "seed", seed)


def _bytes_of_run(original: Callable[..., bytes]) -> Callable[..., bytes]:
    def draw(size: int, *flags: Any, **options: Any) -> bytes:
        run = active()
        return original(size, *flags, **options) if run is None else run.entropy.randbytes(size)

    return draw


def _node(original: Callable[..., int]) -> Callable[..., int]:
    """The machine's address, for which a random one stands, as the standard has it."""

    def getnode(**options: Any) -> int:
        run = active()
        return original(**options) if run is None else _random_node(run)

    return getnode


def _random_node(run: ActiveRun) -> int:
    return run.entropy.getrandbits(48) | 1 << 40


def _time_uuid(original: Callable[..., uuid.UUID]) -> Callable[..., uuid.UUID]:
    """Without the C library's generator, which knows its own clock, and without the last uuid."""

    def uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        run = active()
        if run is None:
            return original(node, clock_seq)
        run.observed_time = True
        ticks = run.now_ns // 100 + _UUID_EPOCH
        # Two in one run would be equal but for this.
        sequence = run.entropy.getrandbits(14) if clock_seq is None else clock_seq
        fields = (
            ticks & 0xFFFFFFFF,
            ticks >> 32 & 0xFFFF,
            ticks >> 48 & 0x0FFF,
            sequence >> 8 & 0x3F,
            sequence & 0xFF,
            _random_node(run) if node is None else node,
        )
        return uuid.UUID(fields=fields, version=1)

    return uuid1


def _ordered_uuid(original: Callable[..., uuid.UUID]) -> Callable[..., uuid.UUID]:
    """Uuids that count on from the last one: in a run from its own (Python 3.14)."""
    state = {name: None for name in vars(uuid) if name.startswith("_last_timestamp_v")}

    def ordered(*args: Any, **options: Any) -> uuid.UUID:
        run = active()
        if run is not None and not run.made_uuid:
            run.made_uuid = True
            vars(uuid).update(state)
        return original(*args, **options)

    return ordered
