"""Why another evaluator may answer otherwise: the published table, and proof.

Owns the traits of a case that explain a difference, and the check of a verdict by filling in what
was missing. Never decides that an unexplained difference is fine. One invariant: a difference is
explained by a row of the table whose trait the case has, or by the official SDK's own answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parity_evaluators import Sdk
from parity_worlds import (
    DATES,
    KEYS,
    ODD_DATES,
    ODD_PATTERNS,
    ODD_VERSIONS,
    SERVER_OPERATORS,
    VALUES,
    VERSIONS,
    Author,
    Caller,
    World,
    filters_of,
)

from posthog_convex.flags import State, Verdict

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
