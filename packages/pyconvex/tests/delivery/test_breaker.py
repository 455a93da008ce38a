from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.delivery.breaker import Backoff, Breaker, Circuit


class Always(random.Random):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


def test_pauses_double_up_to_a_ceiling() -> None:
    backoff = Backoff(base_s=1.0, ceiling_s=30.0)
    longest = [backoff.pause_s(n, Always(1.0)) for n in range(1, 8)]
    assert longest == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert backoff.pause_s(100_000, Always(1.0)) == 30.0


@given(st.integers(1, 10_000), st.integers())
def test_jitter_covers_the_whole_range(failures: int, seed: int) -> None:
    backoff = Backoff()
    ceiling = backoff.pause_s(failures, Always(1.0))
    assert 0.0 <= backoff.pause_s(failures, random.Random(seed)) < ceiling


def test_it_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    breaker = Breaker(Always(0.5), opens_after=3)
    now = 0.0
    for _ in range(3):
        assert breaker.circuit is Circuit.CLOSED
        breaker.failed(now)
        assert not breaker.allows(now)
        now = breaker.not_before
    assert breaker.circuit is Circuit.OPEN
    assert breaker.allows(now)
    assert breaker.circuit is Circuit.HALF_OPEN
    breaker.failed(now)
    assert breaker.circuit is Circuit.OPEN
    assert breaker.allows(breaker.not_before)
    breaker.succeeded()
    assert breaker.circuit is Circuit.CLOSED
    assert breaker.allows(0.0)


def test_the_receiver_may_ask_for_a_longer_pause_not_for_a_shorter_one() -> None:
    breaker = Breaker(Always(1.0))
    breaker.failed(10.0, 42.0)
    assert breaker.not_before == 52.0
    breaker.failed(100.0, 0.1)
    assert breaker.not_before == 101.0


def test_its_own_backoff_says_how_long_the_pause_is() -> None:
    breaker = Breaker(Always(1.0), Backoff(base_s=7.0))
    breaker.failed(10.0)
    assert breaker.not_before == 17.0
    assert not breaker.allows(16.9)
    at_once = Breaker(Always(0.0))
    at_once.failed(10.0)
    assert at_once.not_before == 10.0
