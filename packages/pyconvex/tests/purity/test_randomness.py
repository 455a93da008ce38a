"""Randomness during a run, and for everybody else."""

from __future__ import annotations

import os
import random
import sys
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pyconvex.runtime.purity import numpy_random

Pure = Callable[..., Any]


def test_what_others_draw_is_left_alone(pure: Pure) -> None:
    random.seed(5)
    expected = [random.random(), random.gauss(0, 1), random.random()]
    random.seed(5)
    drawn = [random.random(), random.gauss(0, 1)]
    pure(lambda: (random.seed(1), random.random(), random.gauss(0, 1)))
    assert [*drawn, random.random()] == expected


def test_a_seed_set_by_the_function_holds_within_its_run_only(pure: Pure) -> None:
    def reseeds() -> float:
        random.seed(5)
        return random.random()

    assert pure(reseeds, seed=1).value == pure(reseeds, seed=2).value
    assert pure(random.random, seed=1).value != pure(random.random, seed=2).value


def test_a_seed_set_by_the_function_leaves_uuids_alone(pure: Pure) -> None:
    def makes() -> uuid.UUID:
        random.seed(5)
        return uuid.uuid4()

    assert pure(makes, seed=1).value != pure(makes, seed=2).value


def test_half_a_pair_of_gauss_does_not_cross_runs(pure: Pure) -> None:
    first = pure(lambda: random.gauss(0, 1)).value
    assert pure(lambda: random.gauss(0, 1)).value == first


def test_seeded_generators_are_as_ever(pure: Pure) -> None:
    assert pure(lambda: random.Random(7).random()).value == random.Random(7).random()


def test_a_state_can_be_taken_and_put_back(pure: Pure) -> None:
    def repeats() -> bool:
        state = random.getstate()
        first = random.random()
        random.setstate(state)
        return random.random() == first

    assert pure(repeats).value


class NumpyRandom(ModuleType):
    """The functions by which the one generator of `numpy.random` is reached."""

    MT19937 = random.Random

    def __init__(self) -> None:
        super().__init__("numpy.random")
        self.generator = random.Random(3)

    def get_bit_generator(self) -> random.Random:
        return self.generator

    def set_bit_generator(self, generator: random.Random) -> None:
        self.generator = generator

    def seed(self, seed: int) -> None:
        self.generator.seed(seed)

    def rand(self) -> float:
        return self.generator.random()


def test_numpy_draws_from_a_generator_of_the_run(
    pure: Pure, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy = NumpyRandom()
    monkeypatch.setitem(sys.modules, "numpy.random", numpy)
    monkeypatch.setattr(numpy_random, "_generators", [])
    first = pure(numpy.rand, seed=1).value
    assert pure(numpy.rand, seed=1).value == first
    assert pure(numpy.rand, seed=2).value != first
    assert numpy.rand() == random.Random(3).random()


def test_time_uuids_are_well_formed_and_differ(pure: Pure) -> None:
    made = pure(lambda: [uuid.uuid1() for _ in range(50)]).value
    assert len(set(made)) == 50
    assert {(u.version, u.variant) for u in made} == {(1, uuid.RFC_4122)}
    assert pure(lambda: uuid.uuid1(node=1, clock_seq=2)).value.node == 1


def test_os_urandom_gives_as_many_bytes_as_asked(pure: Pure) -> None:
    assert [len(pure(lambda n=n: os.urandom(n)).value) for n in (0, 1, 33)] == [0, 1, 33]
