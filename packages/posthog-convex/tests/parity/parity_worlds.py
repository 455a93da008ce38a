"""Definitions and callers made at random, in PostHog's own shape.

Owns what is drawn and how often. Never evaluates. One invariant: a seed makes the same worlds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Caller:
    distinct_id: str
    person: dict[str, Any]
    groups: dict[str, str]
    group_properties: dict[str, dict[str, Any]]


@dataclass
class World:
    """One set of definitions in PostHog's own shape."""

    flags: dict[str, dict[str, Any]]
    cohorts: dict[str, Any]
    group_types: dict[str, str] = field(default_factory=lambda: {"0": "company", "1": "team"})
    matching_version: int = 1

    def answer(self) -> dict[str, Any]:
        return {
            "flags": list(self.flags.values()),
            "cohorts": self.cohorts,
            "group_type_mapping": self.group_types,
            "property_matching_version": self.matching_version,
        }


TEXTS = [
    "pro",
    "Pro",
    "free",
    "a@x.com",
    "B@X.COM",
    "",
    "Äpfel",
    "äpfel",
    "true",
    "False",
    "10",
    "9",
]
VALUES: list[Any] = [*TEXTS, True, False, None, 5, 10, 9.5, -3, ["pro", "x"], {"b": 1, "a": [True]}]
ODD_VALUES: list[Any] = [18.0, 5.0, "inf", "nan", [], "18.0"]
VERSIONS = ["1.2.3", "v1.2.3", "1.2", "2.0.0", "0.2.3", "0.0.3", "10.0.0"]
ODD_VERSIONS = ["1.2.3-beta.1", "3.08", "1.2.3+7", "none", "1.2.3.4", "1..2"]
DATES = ["2020-01-01", "2024-02-29T10:00:00Z", "2024-03-01 10:00:00", "2031-05-05T00:00:00+02:00"]
ODD_DATES: list[Any] = ["2024", "yesterday", 1700000000, "1700000000", True, "2024-02-29"]
RELATIVE = ["-7d", "30d", "-2w", "5h", "-2y", "400d"]
PATTERNS = ["^p", "x.com$", "[0-9]+", r"^\d{1,3}$", "a|b", "(pro|free)x?", r"@x\.com$", "("]
ODD_PATTERNS = ["(?i)pro", r"\bpro", "(a+)+", "[[a]]", r"\w+", "*a", "a||b", "}"]
KEYS = ["plan", "email", "age", "version", "since", "distinct_id"]
TEXT_OPERATORS = ["icontains", "starts_with", "ends_with"]
SERVER_OPERATORS = ["between", "not_between", "icontains_multi", "not_icontains_multi"]


class Author:
    """Makes worlds and callers; odd ones, which have a trait, one time in twenty."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def odd(self) -> bool:
        return self.random.random() < 0.05

    def pick(self, plain: list[Any], odd: list[Any]) -> Any:
        return self.random.choice(odd if odd and self.odd() else plain)

    def world(self) -> World:
        world = World({}, {}, matching_version=self.random.choice([1, 1, 2]))
        for number in range(3):
            world.cohorts[str(number)] = self.cohort(world, depth=0)
        for number in range(6):
            key = f"flag-{number}"
            world.flags[key] = self.flag(key, number, world)
        return world

    def flag(self, key: str, number: int, world: World) -> dict[str, Any]:
        chance, filters = self.random.random, {}
        filters["groups"] = [self.condition(world) for _ in range(self.random.randint(0, 3))]
        if chance() < 0.45:
            filters["multivariate"] = {"variants": self.variants()}
        filters["payloads"] = {"true": '{"on": 1}', "a": "[1, 2]", "b": "not json"}
        if chance() < 0.15:
            filters["aggregation_group_type_index"] = self.random.choice([0, 1, 7])
        if chance() < 0.1:
            filters["holdout"] = {"id": 3, "exclusion_percentage": self.random.choice([0, 20, 100])}
        filters["early_exit"] = chance() < 0.2
        if chance() < 0.05:
            filters["feature_enrollment"] = True
        if self.odd() and self.odd():
            filters["super_groups"] = [{"properties": [], "rollout_percentage": 100}]
        return {
            "id": 100 + number,
            "key": key,
            "active": chance() < 0.93,
            "ensure_experience_continuity": chance() < 0.05,
            "bucketing_identifier": "device_id" if chance() < 0.08 else None,
            "filters": filters,
        }

    def variants(self) -> list[dict[str, Any]]:
        shares = self.random.choice([[50, 50], [33, 33, 34], [10, 20], [100], [0, 100], [12.5, 50]])
        return [{"key": k, "rollout_percentage": s} for k, s in zip("abc", shares, strict=False)]

    def condition(self, world: World) -> dict[str, Any]:
        condition: dict[str, Any] = {
            "properties": [self.filter(world) for _ in range(self.random.choice([0, 1, 1, 2, 3]))],
            "rollout_percentage": self.random.choice([None, 100, 0, 50, 30, 75.5]),
        }
        if self.random.random() < 0.25:
            condition["variant"] = self.random.choice(["a", "b", "gone", None])
        if self.random.random() < 0.1:
            condition["aggregation_group_type_index"] = self.random.choice([0, 1, 7, None])
        return condition

    def filter(self, world: World, *, inside_cohort: bool = False) -> dict[str, Any]:
        kind = self.random.random()
        if kind < 0.12 and (not inside_cohort or world.cohorts):
            known = list(world.cohorts) + ([] if self.random.random() < 0.7 else ["99"])
            operator = self.random.choice([None, "exact", "in", "not_in"])
            return {
                "type": "cohort",
                "key": "id",
                "value": int(self.random.choice(known)) if known else 99,
                "operator": operator,
            }
        if kind < 0.22 and world.flags and not inside_cohort:
            return self.dependency(world)
        return self.property()

    def dependency(self, world: World) -> dict[str, Any]:
        key = self.random.choice([*world.flags, "gone"]) if self.odd() else None
        key = key or self.random.choice(list(world.flags))
        return {
            "type": "flag",
            "key": key,
            "operator": "exact" if self.odd() else "flag_evaluates_to",
            "value": self.random.choice([True, True, False, "a", "b", None]),
            "dependency_chain": [] if self.odd() else [*chain_of(world, key), key],
        }

    def property(self) -> dict[str, Any]:
        operator, key, value = self.operator()
        made = {"key": key, "operator": operator, "value": value, "type": "person"}
        if self.odd():
            made["type"] = self.random.choice(["group", None, "person_metadata", "event"])
        if self.random.random() < 0.1:
            made["negation"] = True
        return made

    def operator(self) -> tuple[str | None, str, Any]:
        choice, no = self.random.choice, self.random.choice(["", "not_"])
        match self.random.randint(0, 9):
            case 0 | 1 | 2:
                wanted = self.pick(
                    [
                        *TEXTS,
                        True,
                        False,
                        5,
                        9.5,
                        {"b": 1, "a": [True]},
                        TEXTS[:3],
                        ["true"],
                        [5, "10"],
                        [],
                    ],
                    [None, 18.0],
                )
                return choice(["exact", "is_not", None]), choice(KEYS), wanted
            case 3 | 4:
                name = no + choice(TEXT_OPERATORS)
                return name, choice(KEYS), self.pick([*TEXTS, 5, True, ["x"]], [None, 1.0])
            case 5:
                return no + "regex", choice(KEYS), self.pick(PATTERNS, ODD_PATTERNS)
            case 6:
                wanted = self.pick([5, "9", 9.5, "10", -3, "x", True], [None, "inf"])
                return choice(["gt", "gte", "lt", "lte"]), choice(KEYS), wanted
            case 7:
                kind = choice(["eq", "neq", "gt", "gte", "lt", "lte", "tilde", "caret", "wildcard"])
                plain = ["1.*", "1.2.*", "1.2.3"] if kind == "wildcard" else VERSIONS
                return f"semver_{kind}", "version", self.pick(plain, ODD_VERSIONS)
            case 8:
                name = self.pick(["is_date_before", "is_date_after"], ["is_date_exact"])
                return name, "since", self.pick([*DATES, *RELATIVE], ODD_DATES)
            case _:
                if self.odd():
                    return choice(SERVER_OPERATORS), choice(KEYS), choice([[1, 10], ["a", "p"], 5])
                return choice(["is_set", "is_not_set", "is_set", "sounds_like"]), choice(KEYS), None

    def cohort(self, world: World, *, depth: int) -> dict[str, Any]:
        if self.random.random() < 0.05:
            return {}
        values = [
            self.cohort(world, depth=depth + 1)
            if depth < 2 and self.random.random() < 0.3
            else self.filter(world, inside_cohort=True)
            for _ in range(0 if self.odd() else self.random.randint(1, 3))
        ]
        return {"type": self.random.choice(["AND", "OR"]), "values": values}

    def caller(self) -> Caller:
        groups = {t: f"{t}-{self.random.randint(0, 99)}" for t in ("company", "team")}
        groups = {t: key for t, key in groups.items() if self.random.random() < 0.6}
        person = self.properties()
        if self.random.random() < 0.5:
            person["$device_id"] = f"device-{self.random.randint(0, 99)}"
        if self.random.random() < 0.5:
            choices = [True, "true", "false", False]
            person |= {f"$feature_enrollment/flag-{n}": self.random.choice(choices) for n in (0, 1)}
        return Caller(
            f"user-{self.random.randint(0, 10**6)}",
            person,
            groups,
            {each: self.properties() for each in groups if self.random.random() < 0.8},
        )

    def properties(self) -> dict[str, Any]:
        made = {key: self.pick(VALUES, ODD_VALUES) for key in KEYS[:3]}
        made["version"] = self.pick(VERSIONS, ODD_VERSIONS)
        made["since"] = self.pick(DATES, ODD_DATES)
        return {key: value for key, value in made.items() if self.random.random() < 0.85}


def chain_of(world: World, key: str) -> list[str]:
    """What a flag depends on, in the order of evaluation, itself left out."""
    chain: dict[str, None] = {}
    flag = world.flags.get(key, {"filters": {"groups": []}})
    for each in filters_of(world, flag, follow=False):
        if each.get("type") == "flag":
            chain |= dict.fromkeys([*each["dependency_chain"], each["key"]])
    return [each for each in chain if each != key]


def filters_of(world: World, flag: dict[str, Any], *, follow: bool) -> Iterator[dict[str, Any]]:
    for condition in flag["filters"]["groups"]:
        for each in condition["properties"]:
            yield from _with_references(world, each, follow)


def _with_references(world: World, each: dict[str, Any], follow: bool) -> Iterator[dict[str, Any]]:
    yield each
    if each.get("type") == "cohort" and str(each["value"]) in world.cohorts:
        yield from _in_cohort(world, world.cohorts[str(each["value"])], follow)
    if each.get("type") == "flag" and follow and each["key"] in world.flags:
        yield from filters_of(world, world.flags[each["key"]], follow=True)


def _in_cohort(world: World, cohort: dict[str, Any], follow: bool) -> Iterator[dict[str, Any]]:
    if cohort.get("values") == [] and cohort.get("type") == "OR":
        yield {"empty or": True}
    for each in cohort.get("values", []):
        if "values" in each or not each:
            yield from _in_cohort(world, each, follow)
        else:
            yield from _with_references(world, each, follow)
