"""Evaluations as the JSON that SDKs of every age expect.

Owns the response shapes: `/flags?v=2`, the typed shape of v=3 and later, and the maps of the legacy
`/decide`. Pure; the request id and the time are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from posthog_local.flags.evaluate import Evaluation

# What a browser needs to start; kept small, as everything else has a default in the SDK.
_BROWSER_CONFIG: dict[str, Any] = {
    "config": {"enable_collect_everything": True},
    "toolbarParams": {},
    "isAuthenticated": False,
    "supportedCompression": ["gzip", "gzip-js"],
    "sessionRecording": False,
    "surveys": False,
    "heatmaps": False,
    "capturePerformance": False,
    "autocaptureExceptions": False,
    "siteApps": [],
    "elementsChainAsString": True,
}


def flags_answer(
    evaluations: Sequence[Evaluation],
    *,
    version: int,
    request_id: str,
    evaluated_at_ms: int,
    with_config: bool,
    quota_limited: bool = False,
) -> dict[str, Any]:
    """The answer to `/flags?v=…` of version 2 or later."""
    record = _record if version == 2 else _typed_record
    answer: dict[str, Any] = {
        "errorsWhileComputingFlags": any(one.failed for one in evaluations),
        "flags": {one.flag.key: record(one) for one in evaluations},
        "requestId": request_id,
        "evaluatedAt": evaluated_at_ms,
    }
    if quota_limited:
        answer["quotaLimited"] = ["feature_flags"]
    if with_config:
        answer.update(_BROWSER_CONFIG, hasFeatureFlags=bool(evaluations))
    return answer


def legacy_answer(
    evaluations: Sequence[Evaluation], *, version: int, quota_limited: bool = False
) -> dict[str, Any]:
    """The answer to `/decide`: enabled keys (1), a map of enabled flags (2), or all flags (3)."""
    values = {one.flag.key: one.value for one in evaluations}
    enabled = {key: value for key, value in values.items() if value is not False}
    answer = {
        **_BROWSER_CONFIG,
        "errorsWhileComputingFlags": any(one.failed for one in evaluations),
        "featureFlags": {1: list(enabled), 2: enabled}.get(version, values),
    }
    if version >= 3:
        answer["featureFlagPayloads"] = {
            one.flag.key: payload_text(one.payload)
            for one in evaluations
            if one.payload is not None
        }
    if quota_limited:
        answer["quotaLimited"] = ["feature_flags"]
    return answer


def payload_text(payload: Any) -> str | None:
    """A payload as PostHog sends it: always JSON text."""
    if payload is None or isinstance(payload, str):
        return payload
    return msgspec.json.encode(payload).decode()


def _record(one: Evaluation) -> dict[str, Any]:
    record = {
        "key": one.flag.key,
        "enabled": one.value is not False,
        "variant": one.value if isinstance(one.value, str) else None,
        "reason": _reason(one),
        "metadata": _metadata(one),
    }
    if one.failed:
        record["failed"] = True
    return record


def _typed_record(one: Evaluation) -> dict[str, Any]:
    metadata = {**_metadata(one), "config_version": 1}
    if isinstance(one.value, str):
        metadata["variant_key"] = one.value
    record = {
        "key": one.flag.key,
        "value": one.value,
        "reason": _reason(one),
        "metadata": metadata,
    }
    if one.failed:
        record["failed"] = True
    return record


def _reason(one: Evaluation) -> dict[str, Any]:
    return {
        "code": one.code.value,
        "condition_index": one.condition_index,
        "description": one.description,
    }


def _metadata(one: Evaluation) -> dict[str, Any]:
    return {
        "id": one.flag.id,
        "version": one.flag.version,
        "description": one.flag.name or None,
        "payload": payload_text(one.payload),
        "has_experiment": bool(one.flag.has_experiment),
    }
