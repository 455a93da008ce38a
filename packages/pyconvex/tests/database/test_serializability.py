"""Random concurrent histories: the commits, replayed one by one, must see what they saw."""

from collections.abc import Callable, Iterator
from random import Random

import msgspec
import pytest

from pyconvex.database import (
    Bound,
    Bounds,
    Catalog,
    Committed,
    Conflict,
    Namespace,
    ReadSet,
    Transaction,
)
from pyconvex.storage import Proposal, Rejected

TABLES = ("a", "b")
Observations = list[object]


def program(seed: int, ns: Namespace, seen: Observations) -> Iterator[None]:
    """A function run, paused after each step; all it does follows from its seed and its reads."""
    random = Random(seed)
    for _ in range(random.randrange(1, 6)):
        random.choice(STEPS)(ns, random, seen)
        yield


def first(ns: Namespace, random: Random, seen: Observations) -> None:
    seen.append(next(ns.scan(random.choice(TABLES), descending=random.random() < 0.5), None))


def copy_sum(ns: Namespace, random: Random, seen: Observations) -> None:
    total = sum(document["n"] for document in ns.scan(random.choice(TABLES)))
    seen.append(total)
    ns.insert(random.choice(TABLES), {"n": total % 7 + 1})


def bump_range(ns: Namespace, random: Random, seen: Observations) -> None:
    low = float(random.randrange(6))
    bounds = Bounds(lower=Bound("n", low, True), upper=Bound("n", low + 2, False))
    for document in list(ns.scan("a", "by_n", bounds))[:2]:
        seen.append(document)
        ns.patch(document["_id"], {"n": (document["n"] + 1) % 8})


def delete_last(ns: Namespace, random: Random, seen: Observations) -> None:
    last = next(ns.scan(random.choice(TABLES), descending=True), None)
    seen.append(last)
    if last is not None and random.random() < 0.5:
        ns.delete(last["_id"])


def follow_pointer(ns: Namespace, random: Random, seen: Observations) -> None:
    pointer = next(ns.scan("b"), None)
    if pointer is not None and "to" in pointer:
        found = ns.get(pointer["to"])
        seen.append(found)
        if found is not None:
            ns.patch(found["_id"], {"n": found["n"] + 1})
    elif pointer is not None:
        target = next(ns.scan("a"), None)
        ns.patch(pointer["_id"], {"to": target["_id"] if target else pointer["_id"]})


def use_env(ns: Namespace, random: Random, seen: Observations) -> None:
    value = ns.env("MODE")
    seen.append(value)
    if random.random() < 0.3:
        ns.set_env("MODE", f"{value}+"[-5:])
    else:
        ns.insert("b", {"n": float(len(value or ""))})


def spring(ns: Namespace, random: Random, seen: Observations) -> None:
    table = f"t{random.randrange(3)}"
    seen.append(len(list(ns.scan(table))))
    if random.random() < 0.4:
        ns.insert(table, {"n": 0})


STEPS: list[Callable[[Namespace, Random, Observations], None]] = [
    first,
    copy_sum,
    bump_range,
    delete_last,
    follow_pointer,
    use_env,
    spring,
]


class Run:
    """One attempt of a program at one snapshot."""

    def __init__(self, world, seed: int) -> None:
        self.seed = seed
        self.seen: Observations = []
        self.tx = Transaction(
            world.store.reader(), now_ms=1e12 + seed, random=Random(seed), catalog=Catalog()
        )
        self.steps = program(seed, self.tx.namespace(""), self.seen)

    def step(self) -> bool:
        return next(self.steps, self) is not self

    def finish(self) -> "Run":
        while self.step():
            pass
        self.tx._reader.close()
        return self


def prepare(world) -> None:
    def declare(ns: Namespace) -> None:
        ns.declare_table("a", {"by_n": ["n"]})
        for n in range(4):
            ns.insert("a", {"n": n})
            ns.insert("b", {"n": n})

    world.write(declare)


def run_history(world, seed: int, spoil: Callable[[Proposal], Proposal]) -> list[Run]:
    """Interleave runs at random; gives the committed ones in commit order."""
    prepare(world)
    random = Random(seed)
    active: list[Run] = []
    committed: list[tuple[int, Run]] = []
    conflicts = 0
    seeds = iter(range(seed * 1000, seed * 1000 + 40))
    while True:
        if len(active) < 5 and (next_seed := next(seeds, None)) is not None:
            active.append(Run(world, next_seed))
        if not active:
            break
        run = random.choice(active)
        if run.step():
            continue
        group = [each for each in active if each is run or not any(each.steps)]
        active = [each for each in active if each not in group]
        proposals = [spoil(each.finish().tx.proposal()) for each in group]
        for each, outcome in zip(group, world.committer.commit(proposals), strict=True):
            if isinstance(outcome, Committed):
                if not each.tx.proposal().changes_nothing():
                    committed.append((outcome.ts, each))
            else:
                assert isinstance(outcome, Conflict | Rejected)
                conflicts += 1
                active.append(Run(world, each.seed))
    assert conflicts > 5, "the history is not concurrent enough to say anything"
    assert [ts for ts, _ in committed] == sorted({ts for ts, _ in committed})
    return [run for _, run in committed]


def is_serial(original, replayed, committed: list[Run]) -> bool:
    """True when running the commits one after the other shows each what it saw."""
    prepare(replayed)
    for run in committed:
        again = Run(replayed, run.seed).finish()
        if again.seen != run.seen:
            return False
        [outcome] = replayed.committer.commit([again.tx.proposal()])
        assert isinstance(outcome, Committed)
    return contents(original) == contents(replayed)


def contents(world) -> object:
    return world.read(lambda ns: {name: list(ns.scan(name)) for name in ns.table_names()})


@pytest.mark.parametrize("seed", range(1, 9))
def test_commits_form_a_serial_history(make_world, seed):
    world = make_world()
    committed = run_history(world, seed, spoil=lambda proposal: proposal)
    assert len(committed) > 10
    assert is_serial(world, make_world(), committed)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("block", range(10))
def test_many_histories(make_world, block):
    for seed in range(100 + block * 30, 130 + block * 30):
        world = make_world()
        committed = run_history(world, seed, spoil=lambda proposal: proposal)
        assert is_serial(world, make_world(), committed)


def without(keep: Callable[[ReadSet, int], None]) -> Callable[[Proposal], Proposal]:
    def spoil(proposal: Proposal) -> Proposal:
        reads = ReadSet.decode(proposal.reads)
        for index_id in list(reads.indexes):
            keep(reads, index_id)
        return msgspec.structs.replace(proposal, reads=reads.encode())

    return spoil


def drop_ranges(reads: ReadSet, index_id: int) -> None:
    reads.indexes[index_id].starts = []
    reads.indexes[index_id].ends = []


def drop_points(reads: ReadSet, index_id: int) -> None:
    reads.indexes[index_id].points = set()


@pytest.mark.parametrize("broken", [drop_ranges, drop_points])
def test_a_broken_read_set_is_caught(make_world, broken):
    for seed in range(1, 30):
        world, spoil = make_world(), without(broken)
        try:
            committed = run_history(world, seed, spoil)
        except AssertionError:
            continue  # too few conflicts are left without these reads
        if not is_serial(world, make_world(), committed):
            return
    pytest.fail("no history showed that reads were missing")
