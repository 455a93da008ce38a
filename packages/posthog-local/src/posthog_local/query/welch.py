"""Two samples beside each other: Welch's t-test on the relative difference of their means.

Owns the arithmetic that PostHog's experiments call frequentist: two-sided, the variance of the
relative difference by the delta method, degrees of freedom by Welch and Satterthwaite. Pure.
"""

from __future__ import annotations

import math

import msgspec

_ALPHA = 0.05
_TINY = 1e-300


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """How many, with which mean and variance."""

    count: int
    mean: float
    variance: float


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """By which part of the control's mean another is higher: the 95 % interval, and p."""

    relative: float
    low: float
    high: float
    p: float


def compared(control: Sample, other: Sample) -> Difference | None:
    """The difference; None where nothing can be said: too few, no spread, or nothing to divide by.

    >>> found = compared(Sample(count=100, mean=10.0, variance=4.0),
    ...                  Sample(count=100, mean=11.0, variance=4.0))
    >>> (round(found.relative, 3), round(found.low, 4), round(found.high, 4), round(found.p, 6))
    (0.1, 0.0414, 0.1586, 0.000924)
    """
    if min(control.count, other.count) < 2 or abs(control.mean) < 1e-10:
        return None
    noise_0, noise_1 = control.variance / control.count, other.variance / other.count
    variance = noise_1 / control.mean**2 + other.mean**2 * noise_0 / control.mean**4
    if variance <= 0:
        return None
    freedom = (noise_0 + noise_1) ** 2 / (
        noise_0**2 / (control.count - 1) + noise_1**2 / (other.count - 1)
    )
    relative, error = (other.mean - control.mean) / control.mean, math.sqrt(variance)
    half = _quantile(freedom) * error
    return Difference(
        relative=relative,
        low=relative - half,
        high=relative + half,
        p=two_sided(relative / error, freedom),
    )


def two_sided(t: float, freedom: float) -> float:
    """How often chance alone gives such a t, or one further from 0.

    >>> round(two_sided(2.228, 10), 4)
    0.05
    """
    return _beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def _quantile(freedom: float) -> float:
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > _ALPHA else (low, middle)
    return high


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    ) / a  # fmt: skip
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or _TINY)
    found = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or _TINY)
            c = (1 + term / c) or _TINY
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * found
