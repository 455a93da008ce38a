"""Our evaluators and the official Python SDK's, asked in one way.

Owns how each is asked. Never compares. One invariant: both get the same definitions and callers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from parity_worlds import Caller, World
from posthog import Posthog

from posthog_convex.flags import (
    Surroundings,
    Verdict,
    compile_flag,
    parse_cohort,
    parse_definitions,
    parse_flag,
)


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
