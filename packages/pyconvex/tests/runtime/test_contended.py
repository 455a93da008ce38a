"""Many callers of a real host over one document or one range: who waits, and how often runs repeat.

How calls interleave differs from run to run; the bounds here are far from what was seen on either
side of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from host_bench import Deployment

from pyconvex.runtime.answering.contention import Contention
from pyconvex.runtime.answering.reports import RunReports
from pyconvex.runtime.calls import Success
from pyconvex.values import codec

CALLERS = 40
ROUNDS = 5
APP = """
from pyconvex import Document, MutationCtx, mutation

class Message(Document, table="messages", indexes={"by_room": ["room", "number"]}):
    room: str
    number: int
    text: str

class Counter(Document, table="counters", indexes={"by_name": ["name"]}):
    name: str
    n: int

@mutation
async def say(ctx: MutationCtx, room: str, text: str) -> int:
    last = await ctx.db.query(Message).with_index("by_room", room=room).order("desc").first()
    number = 1 if last is None else last.number + 1
    await ctx.db.insert(Message(room=room, number=number, text=text))
    return number

@mutation
async def take(ctx: MutationCtx, worker: str) -> str:
    first = await ctx.db.query(Message).with_index("by_room", room="lobby").first()
    await ctx.db.delete(first._id)
    return first.text

@mutation
async def count(ctx: MutationCtx, name: str, nonce: str) -> int:
    counter = await ctx.db.query(Counter).with_index("by_name", name=name).unique()
    if counter is None:
        await ctx.db.insert(Counter(name=name, n=1))
        return 1
    await ctx.db.patch(counter._id, {"n": counter.n + 1})
    return counter.n + 1
"""
Deployed = Callable[..., None]


@pytest.fixture
def repeats(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The function of each run that was in vain."""
    seen: list[str] = []
    conflicted = RunReports.conflicted

    def counted(self: RunReports, call: Any, *rest: Any, **more: Any) -> Any:
        seen.append(call.path)
        return conflicted(self, call, *rest, **more)

    monkeypatch.setattr(RunReports, "conflicted", counted)
    return seen


def value_of(outcome: Any) -> Any:
    assert isinstance(outcome, Success), outcome
    return codec.decode(outcome.value)


async def crowd(d: Deployment, path: str, args: Callable[[int, int], dict[str, Any]]) -> list[Any]:
    """What many callers are answered who call again and again."""

    async def caller(number: int) -> list[Any]:
        outcomes = [await d.mutation(path, args(number, turn)) for turn in range(ROUNDS)]
        return [value_of(outcome) for outcome in outcomes]

    told = await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return [value for values in told for value in values]


def test_who_appends_to_one_range_waits_in_one_line(deployed: Deployed, repeats: list[str]) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        numbers = await crowd(
            d, "lib:say", lambda caller, turn: {"room": "lobby", "text": f"{caller} {turn}"}
        )
        assert sorted(numbers) == list(range(1, CALLERS * ROUNDS + 1))
        assert len(repeats) < CALLERS * ROUNDS / 2
        repeats.clear()
        taken = await crowd(d, "lib:take", lambda caller, turn: {"worker": f"{caller} {turn}"})
        assert len(set(taken)) == CALLERS * ROUNDS
        assert len(repeats) < CALLERS * ROUNDS / 2

    deployed(scenario, minimum=2)


def test_a_line_is_left_when_the_fight_moves_on(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lined_up: list[bool] = []
    line_for = Contention.line_for

    def noted(self: Contention, call: Any) -> Any:
        line = line_for(self, call)
        lined_up.append(line is not None)
        return line

    monkeypatch.setattr(Contention, "line_for", noted)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        numbers = await crowd(
            d, "lib:count", lambda caller, turn: {"name": "hot", "nonce": f"{caller} {turn}"}
        )
        assert sorted(numbers) == list(range(1, CALLERS * ROUNDS + 1))
        assert sum(lined_up) > CALLERS * ROUNDS / 2
        lined_up.clear()
        await crowd(
            d, "lib:count", lambda caller, turn: {"name": f"{caller}", "nonce": f"then {turn}"}
        )
        assert sum(lined_up) < CALLERS * ROUNDS / 2

    deployed(scenario, minimum=2)
