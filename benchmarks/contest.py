"""Subjects that serve the same work, measured in turns.

Owns the order of the turns and what becomes of their figures. Never knows what is asked. Invariant:
one server runs at a time, and every subject is started afresh in every round, so that no one
profits from a warm page cache or suffers from another's.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvloop

from benchmarks.load import Load, Measured, measure
from benchmarks.report import Case, Figure
from benchmarks.servers import Place, Server, running


@dataclass(frozen=True)
class Subject:
    """A server, and what to ask it once it answers."""

    name: str
    server: Server
    #: The requests to choose from at random; may call the running server to fill it first.
    requests: Callable[[Place], Sequence[bytes]]
    #: What every right answer's bytes hold.
    promised: bytes


def contest(
    subjects: Sequence[Subject], loads: Sequence[Load], *, rounds: int, seed: int = 20
) -> list[Case]:
    """For each load, requests a second and the latencies of every subject."""
    found: dict[tuple[Load, str], list[Measured]] = defaultdict(list)
    for number in range(rounds):
        for subject in subjects:
            print(f"  round {number + 1} of {rounds}: {subject.name}", flush=True)
            for load, measured in _turn(subject, loads, random.Random(seed + number)):
                found[load, subject.name].append(measured)
    return [case for load in loads for case in _cases(load, subjects, found)]


def _turn(
    subject: Subject, loads: Sequence[Load], chance: random.Random
) -> list[tuple[Load, Measured]]:
    with running(subject.server) as place:
        requests = subject.requests(place)

        async def all_loads() -> list[tuple[Load, Measured]]:
            return [
                (
                    load,
                    await measure(place.port, load, _chooser(requests, chance), subject.promised),
                )
                for load in loads
            ]

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(all_loads())


def _chooser(requests: Sequence[bytes], chance: random.Random) -> Callable[[], bytes]:
    count, draw = len(requests), chance.random
    return lambda: requests[int(draw() * count)]


def _cases(
    load: Load, subjects: Sequence[Subject], found: dict[tuple[Load, str], list[Measured]]
) -> list[Case]:
    plural = "connection" if load.connections == 1 else "connections"
    at = f"{load.connections} {plural}"

    def figures(value: Callable[[Measured], float]) -> dict[str, Figure]:
        return {s.name: Figure.of([value(m) for m in found[load, s.name]]) for s in subjects}

    return [
        Case(at, "requests a second", True, figures(lambda m: m.per_second)),
        Case(at, "median ms", False, figures(lambda m: m.percentile(0.5))),
        Case(at, "99th percentile ms", False, figures(lambda m: m.percentile(0.99))),
    ]
