"""A feature flag's definition, typed: what an editor or a test wrote, checked once at the edge.

Owns the shape and its short form. What is kept and served is the caller's own JSON with the fields
it left out; these structs are what evaluation reads.
"""

from __future__ import annotations

from typing import Any

import msgspec


class InvalidDefinition(ValueError):
    """The flag was not saved: its definition lacks the shape; the message names the field."""


class PropertyFilter(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a condition. `type` says what `key` names: a property, a cohort or a flag."""

    key: str | int
    type: str = "person"
    operator: str | None = None
    value: Any = None
    negation: bool = False
    group_type_index: int | None = None


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A condition set: all its properties must match, then the rollout decides."""

    properties: tuple[PropertyFilter, ...] | None = ()
    rollout_percentage: float | None = None
    variant: str | None = None
    aggregation_group_type_index: int | None = None


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant and its share of the flag's range, in percent."""

    key: str
    rollout_percentage: float = 0.0
    name: str | None = None


class Multivariate(msgspec.Struct, frozen=True, kw_only=True):
    """The variants, in the order in which they divide the range."""

    variants: tuple[Variant, ...] = ()


class Holdout(msgspec.Struct, frozen=True, kw_only=True):
    """A share of everybody that no experiment touches."""

    id: int
    exclusion_percentage: float


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Who gets the flag, in which variant, with which payload."""

    groups: tuple[Condition, ...] = ()
    multivariate: Multivariate | None = None
    payloads: dict[str, Any] | None = None
    aggregation_group_type_index: int | None = None
    holdout: Holdout | None = None
    early_exit: bool | None = None
    super_groups: tuple[Condition, ...] | None = None


class FlagDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A flag as evaluation reads it."""

    id: int
    key: str
    version: int
    name: str | None = ""
    active: bool = True
    deleted: bool = False
    ensure_experience_continuity: bool | None = False
    bucketing_identifier: str | None = None
    evaluation_runtime: str | None = "all"
    evaluation_contexts: tuple[str, ...] | None = ()
    has_experiment: bool | None = False
    filters: Filters = msgspec.field(default_factory=Filters)

    @property
    def variants(self) -> tuple[tuple[str, float], ...]:
        """Variant keys with their shares."""
        multivariate = self.filters.multivariate
        variants = multivariate.variants if multivariate else ()
        return tuple((variant.key, variant.rollout_percentage) for variant in variants)


def complete(given: dict[str, Any], *, flag_id: int, version: int) -> dict[str, Any]:
    """The full JSON of a flag from what a caller gave: a PostHog definition or the short form.

    Raises `InvalidDefinition` for a shape that PostHog would not save.

    >>> full = complete({"key": "beta", "rollout_percentage": 5}, flag_id=1, version=1)
    >>> full["filters"]["groups"]
    [{'properties': [], 'rollout_percentage': 5, 'variant': None}]
    """
    key = given.get("key")
    if not isinstance(key, str) or not key:
        raise InvalidDefinition("a flag needs a key")
    filters = given.get("filters")
    full = {
        "id": flag_id,
        "name": "",
        "active": True,
        "deleted": False,
        "ensure_experience_continuity": False,
        "bucketing_identifier": None,
        "evaluation_runtime": "all",
        "evaluation_contexts": [],
        "has_experiment": False,
        "tags": [],
        **{name: value for name, value in given.items() if name not in _SHORT_FORM},
        "version": version,
        "filters": _short_filters(given) if filters is None else filters,
    }
    full["id"] = flag_id
    typed(full)
    return full


def typed(full: dict[str, Any]) -> FlagDefinition:
    """The struct of a complete definition."""
    try:
        definition = msgspec.convert(full, FlagDefinition)
    except msgspec.ValidationError as error:
        raise InvalidDefinition(f"flag {full.get('key')!r}: {error}") from error
    total = sum(percentage for _, percentage in definition.variants)
    if definition.variants and not 99.99 <= total <= 100.01:
        raise InvalidDefinition(
            f"flag {definition.key!r}: the variants' shares make {total:g} percent, not 100"
        )
    return definition


_SHORT_FORM = frozenset(["rollout_percentage", "variants", "properties", "payloads", "variant"])


def _short_filters(given: dict[str, Any]) -> dict[str, Any]:
    variants = given.get("variants") or {}
    if not isinstance(variants, dict):
        raise InvalidDefinition('variants of the short form are an object: {"a": 50, "b": 50}')
    condition = {
        "properties": given.get("properties") or [],
        "rollout_percentage": given.get("rollout_percentage", 100),
        "variant": given.get("variant"),
    }
    listed = [{"key": k, "name": "", "rollout_percentage": v} for k, v in variants.items()]
    return {
        "groups": [condition],
        "multivariate": {"variants": listed} if listed else None,
        "payloads": {name: _payload(value) for name, value in _payloads(given).items()},
        "aggregation_group_type_index": None,
    }


def _payloads(given: dict[str, Any]) -> dict[str, Any]:
    payloads = given.get("payloads") or {}
    if not isinstance(payloads, dict):
        raise InvalidDefinition('payloads are an object by variant key, or by "true"')
    return payloads


def _payload(value: object) -> str:
    # Payloads travel as JSON text; the short form takes any JSON and writes it.
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
