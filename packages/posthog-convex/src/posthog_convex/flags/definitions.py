"""Flag and cohort definitions as PostHog sends them.

Owns the typed form of a definition and what it refers to. Never evaluates. One invariant: reading
is lenient, because a field that we don't know must not cost a flag; a definition with a known field
of the wrong shape is unreadable, alone, and its flag gets no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET, Struct, UnsetType

from posthog_convex.flags.verdict import Json


class UnreadableDefinition(ValueError):
    """A definition whose shape is not the one we know; the message names the field."""


class PropertyFilter(Struct, frozen=True):
    """One check of a condition or cohort."""

    key: str | int | None = None
    type: str | None = None
    operator: str | None = None
    value: Json = None
    negation: bool | None = False
    group_type_index: int | None = None
    dependency_chain: list[str] | None = None


class Condition(Struct, frozen=True):
    """A condition set: all properties must match, then the rollout decides."""

    properties: list[PropertyFilter] | None = None
    rollout_percentage: int | float | None = None
    variant: str | None = None
    #: Unset: as the flag. Set: this condition alone aggregates by another type.
    aggregation_group_type_index: int | UnsetType | None = UNSET


class Variant(Struct, frozen=True):
    """One variant and its share, in percent."""

    key: str
    rollout_percentage: int | float = 0


class Multivariate(Struct, frozen=True):
    """The variants, in the order in which they share [0, 1)."""

    variants: list[Variant] | None = None


class Holdout(Struct, frozen=True):
    """A share of ids kept out of all experiments, in percent."""

    id: int | str | None = None
    exclusion_percentage: int | float | None = None


class Filters(Struct, frozen=True):
    """What decides a flag."""

    groups: list[Condition] | None = None
    multivariate: Multivariate | None = None
    payloads: dict[str, Json] | None = None
    aggregation_group_type_index: int | None = None
    holdout: Holdout | None = None
    early_exit: bool | None = False
    feature_enrollment: bool | None = False
    super_groups: list[Condition] | None = None
    bucketing_identifier: str | None = None


class FlagDefinition(Struct, frozen=True):
    """One flag."""

    key: str
    id: int | None = None
    active: bool | None = False
    deleted: bool | None = False
    version: int | None = None
    ensure_experience_continuity: bool | None = False
    bucketing_identifier: str | None = None
    filters: Filters | None = None


class Cohort(Struct, frozen=True):
    """A cohort's property group: `values` are nested groups or filters, read one by one."""

    type: str | None = None
    values: list[Cohort | PropertyFilter] | None = None


class DefinitionSet(Struct, frozen=True):
    """One answer of the definitions endpoint; each definition still as text."""

    flags: dict[str, bytes]
    #: Flags may name others by id.
    keys_by_id: dict[str, str]
    cohorts: dict[str, bytes]
    group_types: dict[str, str]
    #: 1: filters of true and false compare truthiness. 2: they compare text as all others do.
    matching_version: int = 1


class References(Struct, frozen=True):
    """What else an evaluation needs: other flags by key or id, cohorts, group type names."""

    flags: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()
    group_types: bool = False


class _Answer(Struct, frozen=True):
    flags: list[msgspec.Raw]
    cohorts: dict[str, msgspec.Raw] | None = None
    group_type_mapping: dict[str, str] | None = None
    property_matching_version: int | None = None


class _Keyed(Struct, frozen=True):
    key: str
    id: int | None = None


_answer = msgspec.json.Decoder(_Answer)
_keyed = msgspec.json.Decoder(_Keyed)
_flag = msgspec.json.Decoder(FlagDefinition)


def parse_definitions(text: str | bytes) -> DefinitionSet:
    """Split the endpoint's answer into definitions, still as text; the last of a key wins.

    Raises `UnreadableDefinition` when the answer as a whole is not one: then nothing of it may be
    used, and what was known before stays.
    """
    try:
        answer = _answer.decode(text)
        keyed = [(_keyed.decode(raw), bytes(raw)) for raw in answer.flags]
    except msgspec.MsgspecError as error:
        raise UnreadableDefinition(f"these are no flag definitions: {error}") from None
    return DefinitionSet(
        flags={each.key: raw for each, raw in keyed},
        keys_by_id={str(each.id): each.key for each, _ in keyed if each.id is not None},
        cohorts={key: bytes(raw) for key, raw in (answer.cohorts or {}).items()},
        group_types=answer.group_type_mapping or {},
        matching_version=answer.property_matching_version or 1,
    )


def parse_flag(text: str | bytes) -> FlagDefinition:
    """Read one flag. Raises `UnreadableDefinition`."""
    try:
        return _flag.decode(text)
    except msgspec.MsgspecError as error:
        raise UnreadableDefinition(str(error)) from None


def parse_cohort(text: str | bytes) -> Cohort:
    """Read one cohort. Raises `UnreadableDefinition`."""
    try:
        return _cohort(msgspec.json.decode(text))
    except msgspec.MsgspecError as error:
        raise UnreadableDefinition(str(error)) from None


def references_of_flag(flag: FlagDefinition) -> References:
    """What this flag's own conditions name; what those name in turn is for the caller to follow."""
    filters = flag.filters or Filters()
    conditions = [*(filters.groups or []), *(filters.super_groups or [])]
    indexes = [filters.aggregation_group_type_index]
    indexes += [
        None if c.aggregation_group_type_index is UNSET else c.aggregation_group_type_index
        for c in conditions
    ]
    return _references(
        (p for c in conditions for p in c.properties or []),
        group_types=any(index is not None for index in indexes),
    )


def references_of_cohort(cohort: Cohort) -> References:
    """What this cohort's filters name."""
    return _references(_leaves(cohort), group_types=False)


def _references(filters: Iterable[PropertyFilter], *, group_types: bool) -> References:
    flags: dict[str, None] = {}
    cohorts: dict[str, None] = {}
    for each in filters:
        if each.type == "flag" and each.key is not None:
            flags[str(each.key)] = None
        elif each.type == "cohort":
            cohorts[cohort_id(each)] = None
    return References(tuple(flags), tuple(cohorts), group_types)


def cohort_id(reference: PropertyFilter) -> str:
    """The id of the cohort that a filter of type cohort names, as the definitions spell it."""
    value = reference.value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _leaves(cohort: Cohort) -> Iterator[PropertyFilter]:
    for each in cohort.values or []:
        if isinstance(each, Cohort):
            yield from _leaves(each)
        else:
            yield each


def _cohort(tree: Json) -> Cohort:
    """Tell groups from filters by their fields, which a typed union of the two can't."""
    if not isinstance(tree, dict):
        raise msgspec.ValidationError("a cohort's property group must be an object")
    if not tree:
        return Cohort("AND", [])
    values = tree.get("values")
    if tree.get("type") not in ("AND", "OR") or not isinstance(values, list):
        raise msgspec.ValidationError("a property group needs a type, AND or OR, and values")
    return Cohort(
        tree["type"],
        [_cohort(v) if _is_group(v) else msgspec.convert(v, PropertyFilter) for v in values],
    )


def _is_group(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    return not value or "values" in value or value.get("type") in ("AND", "OR")
