"""Why the evaluators for JavaScript may answer otherwise than ours.

Owns the traits that explain a difference from posthog-node or `@posthog/convex`, beside those of
`parity_differences`. Never asks an evaluator. One invariant: a trait belongs to the peers that its
row names, and explains nothing for the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parity_differences import traits
from parity_worlds import Caller, World, filters_of

NODE, CONVEX = "node", "convex"

#: Trait of a case → the peers that differ by it, and how.
PEER_DIFFERENCES: dict[str, tuple[frozenset[str], str]] = {
    "early access": (
        frozenset({NODE, CONVEX}),
        "what a person chose for a flag of early access decides, as on the server; they pass over "
        "`feature_enrollment`",
    ),
    "text compared as number": (
        frozenset({NODE, CONVEX}),
        "`gt`, `gte`, `lt` and `lte` need two numbers, as on the server; they read the beginning "
        "of a text as a number, and compare texts by alphabet",
    ),
    "whole number in exact": (
        frozenset({NODE, CONVEX}),
        "5 equals `5`; they give up, because JavaScript can't tell 5 from 5.0",
    ),
    "filters beside groups in a cohort": (
        frozenset({CONVEX}),
        "a cohort may hold filters and groups side by side, as on the server; it takes all for "
        "groups when the first is one, and such filters for true",
    ),
    "whole float in a filter": (
        frozenset({NODE, CONVEX}),
        "a filter's 1.0 is the text `1.0`, as on the server; JavaScript reads 1",
    ),
    "null": (
        frozenset({NODE, CONVEX}),
        "a property that is null is text `null` only where the server has it so",
    ),
    "list or object as text": (
        frozenset({NODE, CONVEX}),
        "a list or an object is compared as its JSON, as on the server; they compare what "
        "JavaScript makes of it, such as `[object Object]`",
    ),
    "holdout": (frozenset({CONVEX}), "holdouts count, as on the server"),
    "early exit": (frozenset({CONVEX}), "`early_exit` counts, as on the server"),
    "negation": (
        frozenset({CONVEX}),
        "`negation` counts inside cohorts only, as on the server; it inverts conditions too",
    ),
    "cohort operator": (
        frozenset({CONVEX}),
        "`not_in` counts, as on the server; it takes it for `in`",
    ),
    "dependency by another operator": (
        frozenset({NODE, CONVEX}),
        "a filter on a flag needs `flag_evaluates_to` and a value, or matches nothing; they pass "
        "over the operator",
    ),
    "distinct id as property": (
        frozenset({CONVEX}),
        "the distinct id can be matched as a property, as on the server; it knows only what was "
        "passed",
    ),
    "group without properties": (
        frozenset({CONVEX}),
        "a group whose properties were not passed has its key; it gives up on that condition",
    ),
    "empty cohort": (
        frozenset({NODE, CONVEX}),
        "an empty cohort holds everybody and an empty OR group needs the server",
    ),
    "wildcard without a star": (
        frozenset({NODE, CONVEX}),
        "`semver_wildcard` with `1.2.3` is that version alone, as on the server; they take it for "
        "`1.2.*`",
    ),
}

#: Rows of the table for PyPI `posthog` by which these differ from ours, too.
SHARED_DIFFERENCES = frozenset(
    {
        "whole float",
        "date from a number",
        "date from no text",
        "unread date",
        "date without offset",
        "version",
        "filter without value",
        "server's operator",
        "number by name",
        "regular expression",
        "foreign type",
        "empty OR",
        "group flag in a dependency",
        "super groups",
    }
)


def peer_traits(peer: str, world: World, key: str, caller: Caller) -> set[str]:
    """What in a case may make this peer differ."""
    found = set(_of_flags(world, key, caller))
    for each in filters_of(world, world.flags[key], follow=True):
        found |= set(_of_filter(world, each, caller))
    for flag in _reached(world, key):
        for condition in flag["filters"]["groups"]:
            if any(each.get("negation") for each in condition["properties"]):
                found.add("negation")
    if _names_cohorts(world, key):
        for cohort in world.cohorts.values():
            found |= set(_of_cohort(cohort))
    of_peer = {name for name in found if peer in PEER_DIFFERENCES[name][0]}
    return of_peer | (traits(world, key, caller) & SHARED_DIFFERENCES)


def _reached(world: World, key: str) -> list[dict[str, Any]]:
    keys = [key] + [
        each["key"]
        for each in filters_of(world, world.flags[key], follow=True)
        if each.get("type") == "flag" and each["key"] in world.flags
    ]
    return [world.flags[each] for each in dict.fromkeys(keys)]


def _of_flags(world: World, key: str, caller: Caller) -> Iterator[str]:
    bare = set(caller.groups) - set(caller.group_properties)
    for flag in _reached(world, key):
        holders = [flag["filters"], *flag["filters"]["groups"]]
        indexes = {str(each.get("aggregation_group_type_index")) for each in holders}
        if any(world.group_types.get(index) in bare for index in indexes):
            yield "group without properties"
        if flag["filters"].get("feature_enrollment"):
            yield "early access"
        if flag["filters"].get("holdout"):
            yield "holdout"
        if flag["filters"].get("early_exit"):
            yield "early exit"


def _of_filter(world: World, each: dict[str, Any], caller: Caller) -> Iterator[str]:
    operator, wanted = each.get("operator") or "exact", each.get("value")
    if each.get("type") == "cohort":
        if operator == "not_in":
            yield "cohort operator"
        return
    if each.get("type") == "flag":
        if operator != "flag_evaluates_to" or wanted is None:
            yield "dependency by another operator"
        return
    if each.get("key") == "distinct_id":
        yield "distinct id as property"
    actual = [p[each["key"]] for p in _subjects(caller) if each.get("key") in p]
    both = [*actual, *(wanted if isinstance(wanted, list) else [wanted])]
    if operator in ("gt", "gte", "lt", "lte") and not all(_is_number(v) for v in both):
        yield "text compared as number"
    if operator in ("exact", "is_not") and any(_is_whole(v) for v in _flat(both)):
        yield "whole number in exact"
    if any(isinstance(v, float) and v.is_integer() for v in both):
        yield "whole float in a filter"
    if None in actual:
        yield "null"
    if operator == "semver_wildcard" and "*" not in str(wanted):
        yield "wildcard without a star"
    if any(isinstance(v, (list, dict)) for v in (*actual, wanted)):
        yield "list or object as text"


def _subjects(caller: Caller) -> list[dict[str, Any]]:
    person = {"distinct_id": caller.distinct_id, **caller.person}
    return [person, *caller.group_properties.values()]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and float(value).is_integer()


def _flat(values: list[Any]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, (list, dict)):
            yield from _flat(list(each.values()) if isinstance(each, dict) else each)
        else:
            yield each


def _names_cohorts(world: World, key: str) -> bool:
    return any(
        each.get("type") == "cohort" for each in filters_of(world, world.flags[key], follow=True)
    )


def _of_cohort(cohort: dict[str, Any]) -> Iterator[str]:
    if not cohort.get("values"):
        yield "empty cohort"
    if len({"values" in each or not each for each in cohort.get("values") or []}) == 2:
        yield "filters beside groups in a cohort"
    for each in cohort.get("values") or []:
        if "values" in each or not each:
            yield from _of_cohort(each)
