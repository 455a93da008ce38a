"""Our evaluation beside the official Python SDK's, over definitions and callers made at random.

Equal, or explained: by a row of `DIFFERENCES`, whose trait the case must have, or by proof. Proof
is the SDK itself, asked again with what was missing filled in: where we answer and it does not,
every filling must give our answer; where it answers and we do not, some filling must give another.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from posthog import Posthog

from posthog_convex.flags import (
    State,
    Surroundings,
    Verdict,
    compile_flag,
    parse_cohort,
    parse_definitions,
    parse_flag,
)

#: Trait of a case → what differs from the SDK, and why ours is so. The server's behaviour is the
#: measure: https://posthog.com/docs/feature-flags is about it, and the SDKs approximate it.
DIFFERENCES = {
    "whole float": "18.0 reads as 18, as JavaScript and Convex write it; the SDK reads 18.0",
    "date from a number": "a number, or text that is one, is seconds since 1970, as on the server",
    "date from no text": "a date condition on true, a list or an object is off, as on the server",
    "unread date": "only ISO dates are read here; other forms need the server, the SDK reads some",
    "date without offset": "within 14 hours the project's time zone decides, not known here",
    "version": "a value that is no version is off, not undecided; pre-releases order before their "
    "release; leading zeros are dropped; build metadata needs the server: as on the server",
    "filter without value": "such a filter matches nothing, as on the server",
    "server's operator": "between, icontains_multi, is_date_exact and their like are evaluated",
    "number by name": "the server's number parser reads inf and nan, the SDK's does not",
    "regular expression": "fewer patterns are taken for the same in Python and on the server",
    "foreign type": "person_metadata, event and unknown types need the server",
    "empty OR": "an empty OR group needs the server, the SDK calls it true",
    "group flag in a dependency": "a dependency is evaluated for the caller's own groups",
    "payload": "a payload that is no JSON stays text, as in posthog-node",
    "enrolment of a group": "early access to a group flag needs the server, group passed or not",
    "super groups": "early access by super_groups is evaluated, the SDK ignores it",
}


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


class Sdk:
    """The official SDK's local evaluator."""

    def __init__(self) -> None:
        self._client = Posthog("phc_parity", sync_mode=True, send=False, host="http://127.0.0.1:1")
        self._client.log.disabled = True

    def load(self, world: World) -> None:
        self._client._update_flag_state(world.answer())

    def ask(self, key: str, caller: Caller) -> tuple[Any, Any]:
        result = self._client.get_feature_flag_result(
            key,
            caller.distinct_id,
            groups=caller.groups,
            person_properties=caller.person,
            group_properties=caller.group_properties,
            device_id=caller.person.get("$device_id"),
            only_evaluate_locally=True,
            send_feature_flag_events=False,
        )
        if result is None:
            return None, None
        return result.variant or result.enabled, result.payload


def compiled(world: World) -> dict[str, Callable[[Caller], Verdict]]:
    """Our evaluators, through the same text as from the network."""
    parsed = parse_definitions(json.dumps(world.answer()))
    around = Surroundings(
        flags={key: parse_flag(text) for key, text in parsed.flags.items()},
        cohorts={key: parse_cohort(text) for key, text in parsed.cohorts.items()},
        group_types=parsed.group_types,
        matching_version=parsed.matching_version,
    )
    now_ms = time.time() * 1000

    def asker(key: str) -> Callable[[Caller], Verdict]:
        flag = compile_flag(around.flags[key], around)
        return lambda c: flag.evaluate(
            c.distinct_id, c.person, c.groups, c.group_properties, now_ms
        )

    return {key: asker(key) for key in around.flags}


def traits(world: World, key: str, caller: Caller) -> set[str]:
    """What in a case may make the SDK differ from the server."""
    found: set[str] = set()
    flag = world.flags[key]
    filters = list(filters_of(world, flag, follow=True))
    for each in filters:
        found |= set(_traits_of_filter(world, each))
        for properties in (caller.person, *caller.group_properties.values()):
            if each.get("key") in properties:
                found |= set(_traits_of_value(each, properties[each["key"]]))
    reached = [flag] + [
        world.flags[f["key"]]
        for f in filters
        if f.get("type") == "flag" and f["key"] in world.flags
    ]
    if any(f["filters"].get("super_groups") for f in reached):
        found.add("super groups")
    if any(f["filters"].get("feature_enrollment") and _is_about_groups(f) for f in reached):
        found.add("enrolment of a group")
    if len(reached) > 1 and any(_is_about_groups(f) for f in reached):
        found.add("group flag in a dependency")
    return found


def _is_about_groups(flag: dict[str, Any]) -> bool:
    holders = [flag["filters"], *flag["filters"]["groups"]]
    return any(h.get("aggregation_group_type_index") is not None for h in holders)


def _traits_of_filter(world: World, each: dict[str, Any]) -> Iterator[str]:
    if each.get("empty or"):
        yield "empty OR"
    if each.get("type") in ("person_metadata", "event"):
        yield "foreign type"
    operator = each.get("operator") or "exact"
    if operator in (*SERVER_OPERATORS, "is_date_exact"):
        yield "server's operator"
    if each.get("value") is None and operator not in ("is_set", "is_not_set", "flag_evaluates_to"):
        yield "filter without value"
    if operator.endswith("regex") and each["value"] in ODD_PATTERNS:
        yield "regular expression"
    if operator.startswith("semver") and each["value"] in ODD_VERSIONS:
        yield "version"
    if operator.startswith("is_date") and each["value"] in ODD_DATES:
        yield "unread date"
    if each.get("value") in ("inf", "nan"):
        yield "number by name"


def _traits_of_value(each: dict[str, Any], value: Any) -> Iterator[str]:
    operator = each.get("operator") or "exact"
    if isinstance(value, float) and value.is_integer():
        yield "whole float"
    if value in ("inf", "nan"):
        yield "number by name"
    if operator.startswith("semver") and value in ODD_VERSIONS:
        yield "version"
    if operator.startswith("is_date"):
        if isinstance(value, (int, float)) or str(value).isdigit():
            yield "date from a number"
        if not isinstance(value, str):
            yield "date from no text"
        if str(value) in ("2024", "yesterday"):
            yield "unread date"
        if str(value).startswith("2024-0") and str(each["value"]).startswith("2024-0"):
            yield "date without offset"


ALWAYS = {"key": "filled", "operator": "is_set"}
NEVER = {"key": "filled", "operator": "exact", "value": "no"}


def fillings(
    author: Author, world: World, key: str, caller: Caller, unresolved: set[str], *, decided: bool
) -> Iterator[tuple[World, Caller]]:
    """The same case with all that can't be known made up: properties, cohorts, filters, flags."""
    filters = list(filters_of(world, world.flags[key], follow=True))
    names = {str(f.get("key")) for f in filters if f.get("type") in (None, "person", "group")}
    wanted = [f["value"] for f in filters if f.get("value") is not None and "type" in f]
    pool: list[Any] = [*VALUES, *VERSIONS, *DATES, *(w for w in wanted if not isinstance(w, list))]
    pool += [item for w in wanted if isinstance(w, list) for item in w]
    names |= {f"$feature_enrollment/{each}" for each in world.flags}
    for _ in range(120):
        made = {n: author.random.choice(pool) for n in sorted(names)} | {"filled": True}
        if author.random.random() < 0.6:
            made["since"] = author.random.choice(DATES)
            made["version"] = author.random.choice(VERSIONS)
        whole = Caller(
            caller.distinct_id,
            {
                "$device_id": f"d{author.random.random()}",
                **made,
                "distinct_id": caller.distinct_id,
                **caller.person,
            },
            caller.groups,
            {g: {**made, **caller.group_properties.get(g, {})} for g in caller.groups},
        )
        yield decidable(author, world, key, caller, unresolved, decided=decided), whole


def decidable(
    author: Author, world: World, key: str, caller: Caller, unresolved: set[str], *, decided: bool
) -> World:
    """A world in which every definition can be evaluated, one of the ways this one may turn out.

    Filters on one missing property turn out independently of each other, and a filter on a flag
    without a verdict independently of that flag, whose own verdict is a case of its own: what rules
    out a combination is a thing that neither evaluator sees.
    """
    person = {"distinct_id": caller.distinct_id, **caller.person}
    subjects = [person, *(caller.group_properties.get(g, {}) for g in caller.groups)]
    everywhere = all if decided else any
    missing = {name for name in KEYS if everywhere(name not in each for each in subjects)}

    def filled(node: Any) -> Any:
        if isinstance(node, list):
            return [filled(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "operator" in node and (
            _is_undecidable(world, node)
            or (node["key"] in missing and author.random.random() < 0.7)
            or (node["key"] in unresolved and not decided and author.random.random() < 0.5)
        ):
            return author.random.choice([ALWAYS, NEVER])
        if "dependency_chain" in node:
            # The SDK gives up when any flag of the chain is missing, needed or not.
            chain = [name for name in node["dependency_chain"] if name in world.flags]
            return {**node, "dependency_chain": chain}
        return {name: filled(value) for name, value in node.items()}

    flags = filled(world.flags)
    for other in flags.values():
        if other["key"] == key:
            continue
        index = other["filters"].get("aggregation_group_type_index")
        if other["ensure_experience_continuity"] or index is not None:
            other["ensure_experience_continuity"] = False
            other["filters"]["aggregation_group_type_index"] = None
            other["filters"]["groups"] = author.random.choice([[], [{"properties": []}]])
    return World(flags, filled(world.cohorts), world.group_types, world.matching_version)


def _is_undecidable(world: World, each: dict[str, Any]) -> bool:
    operator, value = each["operator"], each.get("value")
    if each.get("type") == "cohort":
        return str(value) not in world.cohorts
    if each.get("type") == "flag":
        if value is None or operator != "flag_evaluates_to":
            return False
        return not each["dependency_chain"] or each["key"] not in world.flags
    if operator in ("gt", "gte", "lt", "lte"):
        return value in ("x", True)
    return operator == "sounds_like"


def is_proven(author: Author, sdk: Sdk, world: World, key: str, caller: Caller, ours: Verdict,
              theirs: Any, unresolved: set[str]) -> bool:  # fmt: skip
    """Whether the SDK's own answers, with what is missing filled in, are on our side."""
    answers = []
    decided = ours.state is not State.NO_VERDICT
    for filled_world, filled in fillings(author, world, key, caller, unresolved, decided=decided):
        sdk.load(filled_world)
        answers.append(sdk.ask(key, filled)[0])
    sdk.load(world)
    if not decided:
        return any(answer is not None and answer != theirs for answer in answers)
    known = [answer for answer in answers if answer is not None]
    return bool(known) and all(answer == ours.value for answer in known)


def compare(seed: int, worlds: int, callers: int) -> Counter[str]:
    """Evaluate and explain; returns how many cases each explanation took."""
    author, sdk, counts = Author(seed), Sdk(), Counter[str]()
    for _ in range(worlds):
        world = author.world()
        sdk.load(world)
        flags = compiled(world)
        for caller in (author.caller() for _ in range(callers)):
            undecided = State.NO_VERDICT
            unresolved = {key for key, ask in flags.items() if ask(caller).state is undecided}
            for key, ask in flags.items():
                ours, (theirs, payload) = ask(caller), sdk.ask(key, caller)
                counts["cases"] += 1
                counts[ours.state] += 1
                if ours.value == theirs and type(ours.value) is type(theirs):
                    if ours.state is State.MATCH:
                        odd = ours.value == "b" and payload is None
                        assert ours.payload == ("not json" if odd else payload)
                        counts["payload"] += odd
                    counts["equal"] += 1
                    continue
                reasons = traits(world, key, caller)
                if reasons:
                    counts.update(reasons)
                    continue
                proven = (theirs is None) != (ours.value is None) and is_proven(
                    author, sdk, world, key, caller, ours, theirs, unresolved
                )
                assert proven, (
                    f"ours {ours}, theirs {theirs!r}\n{json.dumps(world.flags[key])}\n"
                    f"{json.dumps(world.cohorts)}\n{caller}\nmatching {world.matching_version}"
                )
                counts["proven: " + ("ours undecided" if theirs is not None else "decided")] += 1
    return counts


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_official_sdk_or_explained(seed: int) -> None:
    counts = compare(seed, worlds=60, callers=10)
    assert counts["cases"] == 3600
    assert counts["equal"] > 0.85 * counts["cases"], counts
    for state in State:
        assert counts[state] > 0.1 * counts["cases"], counts
    reasons = {name for name in counts if not name.startswith("proven")}
    assert reasons <= {"cases", "equal", *State, *DIFFERENCES}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_two_hundred_thousand_evaluations() -> None:
    counts: Counter[str] = Counter()
    for seed in range(1000, 1010):
        counts += compare(seed, worlds=170, callers=20)
    assert counts["cases"] >= 200_000
    assert counts["equal"] > 0.85 * counts["cases"], counts
    assert set(DIFFERENCES) <= set(counts), "a row of the table explains nothing"
