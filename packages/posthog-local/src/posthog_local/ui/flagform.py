"""The flag editor's form and the definition behind it.

Owns both directions: which definitions the form can show, and the definition that a filled form
means. A definition that the form cannot show whole is edited as JSON, never simplified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from posthog_local.flags.definition import InvalidDefinition
from posthog_local.flags.operators import OPERATOR_NAMES

_EMPTY_ROWS = 2
_SIMPLE_CONDITION = frozenset(["properties", "rollout_percentage", "variant"])
_SIMPLE_LINE = frozenset(["key", "type", "operator", "value"])
_WITHOUT_VALUE = frozenset(["is_set", "is_not_set"])

Fields = Mapping[str, Sequence[str]]


class VariantRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the variants' table."""

    key: str = ""
    share: str = ""
    payload: str = ""


class ConditionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the conditions' table."""

    key: str = ""
    operator: str = "exact"
    value: str = ""


class FlagForm(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the editor shows."""

    key: str = ""
    name: str = ""
    active: bool = True
    rollout: str = "100"
    payload: str = ""
    variants: tuple[VariantRow, ...] = ()
    conditions: tuple[ConditionRow, ...] = ()

    @property
    def variant_rows(self) -> tuple[VariantRow, ...]:
        """The variants and room for more."""
        return self.variants + (VariantRow(),) * _EMPTY_ROWS

    @property
    def condition_rows(self) -> tuple[ConditionRow, ...]:
        """The conditions and room for more."""
        return self.conditions + (ConditionRow(),) * _EMPTY_ROWS


def form_of(flag: Mapping[str, Any]) -> FlagForm | None:
    """The form that shows this flag whole; None when only JSON can."""
    filters = flag["filters"]
    groups = filters.get("groups") or []
    if not _is_simple(filters, groups):
        return None
    condition: Mapping[str, Any] = groups[0] if groups else {"rollout_percentage": 0}
    payloads = filters.get("payloads") or {}
    rollout = condition.get("rollout_percentage")
    variants: list[dict[str, Any]] = (filters.get("multivariate") or {}).get("variants") or []
    return FlagForm(
        key=flag["key"],
        name=flag.get("name") or "",
        active=flag["active"],
        rollout="100" if rollout is None else f"{rollout:g}",
        payload=_text(payloads.get("true", "")),
        variants=tuple(
            VariantRow(
                key=one["key"],
                share=f"{one.get('rollout_percentage', 0):g}",
                payload=_text(payloads.get(one["key"], "")),
            )
            for one in variants
        ),
        conditions=tuple(
            ConditionRow(
                key=str(line["key"]),
                operator=line.get("operator") or "exact",
                value=_text(line.get("value")),
            )
            for line in condition.get("properties") or []
        ),
    )


def definition_of(fields: Fields) -> dict[str, Any]:
    """The definition that a filled form means; `InvalidDefinition` names what is wrong."""
    variants = _variants(fields)
    payloads = {key: payload for key, _, payload in variants if payload}
    own = _one(fields, "payload")
    if own and not variants:
        payloads["true"] = own
    for payload in payloads.values():
        _check_json(payload)
    listed = [{"key": key, "name": "", "rollout_percentage": share} for key, share, _ in variants]
    return {
        "key": _one(fields, "key"),
        "name": _one(fields, "name"),
        "active": _one(fields, "active") == "on",
        "filters": {
            "groups": [
                {
                    "properties": _conditions(fields),
                    "rollout_percentage": _percentage(_one(fields, "rollout"), "rollout"),
                    "variant": None,
                }
            ],
            "multivariate": {"variants": listed} if listed else None,
            "payloads": payloads,
            "aggregation_group_type_index": None,
        },
    }


def _is_simple(filters: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> bool:
    special = ("aggregation_group_type_index", "holdout", "super_groups", "early_exit")
    if len(groups) > 1 or any(filters.get(name) not in (None, False) for name in special):
        return False
    for condition in groups:
        if set(condition) - _SIMPLE_CONDITION or condition.get("variant"):
            return False
        for line in condition.get("properties") or []:
            if set(line) - _SIMPLE_LINE or line.get("type", "person") != "person":
                return False
    return True


def _variants(fields: Fields) -> list[tuple[str, float, str]]:
    rows = zip(
        fields.get("variant_key", ()),
        fields.get("variant_share", ()),
        fields.get("variant_payload", ()),
        strict=False,
    )
    return [
        (key.strip(), _percentage(share, f"the share of {key!r}"), payload.strip())
        for key, share, payload in rows
        if key.strip()
    ]


def _conditions(fields: Fields) -> list[dict[str, Any]]:
    rows = zip(
        fields.get("condition_key", ()),
        fields.get("condition_operator", ()),
        fields.get("condition_value", ()),
        strict=False,
    )
    return [
        _condition(key.strip(), operator, value) for key, operator, value in rows if key.strip()
    ]


def _condition(key: str, operator: str, value: str) -> dict[str, Any]:
    if operator not in OPERATOR_NAMES:
        raise InvalidDefinition(f"{operator!r} is no operator")
    line: dict[str, Any] = {"key": key, "type": "person", "operator": operator}
    if operator not in _WITHOUT_VALUE:
        line["value"] = _value(value)
    return line


def _value(text: str) -> Any:
    """JSON lists, numbers and booleans as themselves; everything else is text."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
    return value if isinstance(value, list | bool | int | float) else text


def _percentage(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InvalidDefinition(f"{what} must be a number from 0 to 100") from None
    if not 0 <= number <= 100:
        raise InvalidDefinition(f"{what} must be a number from 0 to 100")
    return int(number) if number.is_integer() else number


def _check_json(payload: str) -> None:
    try:
        msgspec.json.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidDefinition(f"the payload {payload!r} is not JSON: {error}") from error


def _one(fields: Fields, name: str) -> str:
    values = fields.get(name, ())
    return values[0].strip() if values else ""


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
