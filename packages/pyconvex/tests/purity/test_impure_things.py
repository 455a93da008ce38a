"""Each impure thing is refused by its name and line, or gives the same at every attempt."""

from __future__ import annotations

import gc
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import impure_things
import pytest
from impure_things import CONSTANT, FROZEN, NEW_FILE, REFUSED, SEEDED, Thing

from pyconvex.runtime.purity import ImpureCallError

DOCS = Path(__file__).parents[4] / "docs" / "purity.md"
Pure = Callable[..., Any]


def names(things: list[Any]) -> list[str]:
    return [thing[0] for thing in things]


# What a refusal leaves half made, such as an event loop without its sockets, complains at its end.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "attempt", "thing"), REFUSED, ids=names(REFUSED))
def test_it_is_refused_with_its_line(name: str, attempt: str, thing: Thing, pure: Pure) -> None:
    with pytest.raises(ImpureCallError) as caught:
        pure(thing)
    place, _, sentence = str(caught.value).partition(": ")
    assert sentence.startswith(f"Can't {attempt}")
    assert sentence.endswith(" in queries and mutations. Please consider using an action.")
    file, _, line = place.rpartition(":")
    lines, first = inspect.getsourcelines(thing)
    assert file == impure_things.__file__
    assert first <= int(line) < first + len(lines)
    assert not NEW_FILE.exists()
    del caught
    gc.collect()


@pytest.mark.parametrize(("name", "thing"), SEEDED, ids=names(SEEDED))
def test_it_comes_from_the_seed(name: str, thing: Thing, pure: Pure) -> None:
    first = pure(lambda: [thing(), thing()], seed=1).value
    thing()  # what others draw in between doesn't matter
    assert pure(lambda: [thing(), thing()], seed=1).value == first
    assert pure(lambda: [thing(), thing()], seed=2).value != first
    assert thing() != first[0]


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # since 3.12
@pytest.mark.parametrize(("name", "thing"), FROZEN, ids=names(FROZEN))
def test_it_stands_still(name: str, thing: Thing, pure: Pure) -> None:
    ran = pure(lambda: [thing(), thing()])
    assert ran.observed_time
    assert ran.value[0] == ran.value[1]
    assert pure(thing).value == ran.value[0]
    assert pure(thing, now_ms=1e12).value != ran.value[0]
    assert thing() != ran.value[0]


@pytest.mark.parametrize(("name", "thing"), CONSTANT, ids=names(CONSTANT))
def test_it_is_always_the_same(name: str, thing: Thing, pure: Pure) -> None:
    assert pure(thing).value == pure(thing, now_ms=1e12, seed=2).value


def test_the_docs_have_the_same_table() -> None:
    sections = re.split(r"^## ", DOCS.read_text(), flags=re.MULTILINE)
    listed = {
        section.partition("\n")[0]: re.findall(r"^- (.+)$", section, re.MULTILINE)
        for section in sections
    }
    assert listed["Refused"] == names(REFUSED)
    assert listed["Seeded"] == names(SEEDED)
    assert listed["Frozen"] == names([*FROZEN, *CONSTANT])


def test_at_least_forty() -> None:
    every = names([*REFUSED, *SEEDED, *FROZEN, *CONSTANT])
    assert len(set(every)) == len(every) >= 40
