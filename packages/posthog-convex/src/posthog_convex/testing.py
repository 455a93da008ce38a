"""PostHog in your tests: what was captured, and flags as you set them, in memory.

Owns a PostHog that stands beside a `convex_test` deployment. Never opens a port or a connection.
One invariant: the component runs as in production; only what it would send, or ask for, stays here.

>>> import asyncio
>>> from pyconvex.testing import convex_test
>>> CONFIG = '''
... from posthog_convex import posthog_component
... from pyconvex import define_app, v
...
... app = define_app(env={"POSTHOG_PROJECT_TOKEN": v.string()})
... app.use(posthog_component, env=app.env)
... '''
>>> SHOP = '''
... from posthog_convex import PostHog
... from pyconvex import MutationCtx, components, mutation
...
... posthog = PostHog(components.posthog)
...
... @mutation
... async def buy(ctx: MutationCtx, user_id: str) -> int:
...     flag = await posthog.get_feature_flag(ctx, "discount-campaign", distinct_id=user_id)
...     await posthog.capture(ctx, "bought", distinct_id=user_id)
...     return 20 if flag == "variant-a" else 0
... '''
>>> app = {"convex_config.py": CONFIG, "shop.py": SHOP}
>>> async def test_discount() -> None:
...     async with convex_test(app, env=ENV) as t, posthog_test(t) as posthog:
...         await posthog.set_flag("discount-campaign", "variant-a")
...         assert await t.mutation("shop:buy", user_id="ada") == 20
...         assert [event["event"] for event in posthog.events] == ["bought"]
>>> asyncio.run(test_discount())
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from posthog_convex.component.connections import standing_in
from posthog_convex.component.report_lane import ReportLane, event_texts
from posthog_convex.events import EXCEPTION, Event
from posthog_convex.flags import (
    Surroundings,
    Verdict,
    compile_flag,
    parse_cohort,
    parse_definitions,
    parse_flag,
)
from pyconvex.delivery import Request, Response, Unreachable
from pyconvex.runlog.entries import entries_of
from pyconvex.testing import ConvexTest

__all__ = ["ENV", "PostHogTest", "posthog_test"]

#: The one variable that the component requires: `convex_test(…, env=ENV)`.
ENV: Mapping[str, str] = MappingProxyType({"POSTHOG_PROJECT_TOKEN": "phc_test"})


@asynccontextmanager
async def posthog_test(t: ConvexTest, *, component: str = "posthog") -> AsyncIterator[PostHogTest]:
    """A PostHog for a deployment, for the length of the block.

    `component` is the name under which the app mounts the component. Definitions are loaded from
    the start, so a flag that was not set is unknown.
    """
    posthog = PostHogTest(t, component)
    with standing_in(posthog._answers):
        await posthog._store()
        yield posthog


class PostHogTest:
    """What your functions have captured, and the flags that they see; from `posthog_test`."""

    def __init__(self, t: ConvexTest, component: str) -> None:
        self._t = t
        self._component = component
        self._flags: dict[str, Mapping[str, Any]] = {}
        self._stored = 0
        self._answers = _Answers()
        #: Events before the last `clear`.
        self._cleared = 0
        self._cleared_runs = 0

    @property
    def events(self) -> list[Event]:
        """What was captured, in commit order, as PostHog would get it; `clear` starts over.

        Events of a mutation that failed are not among them.
        """
        rows = self._t.queue("events", component=self._component)
        return [json.loads(str(row)) for row in rows[self._cleared :]]

    @property
    def exceptions(self) -> list[Event]:
        """The errors that PostHog would get, in order: reported by hand, or uncaught.

        Those of a query, and of a mutation that failed, are among them.
        """
        return [event for event in self._reported() if event["event"] == EXCEPTION]

    @property
    def exposures(self) -> list[Event]:
        """The `$feature_flag_called` events of flags that were read, each once, in order.

        One that a function captures itself is among `events`.
        """
        return [event for event in self._reported() if event["event"] != EXCEPTION]

    def clear(self) -> None:
        """Forget the events, errors and exposures so far."""
        self._cleared = len(self._t.queue("events", component=self._component))
        self._cleared_runs = len(self._t.run_records)

    async def set_flag(
        self,
        key: str,
        value: bool | str = True,
        *,
        payload: Any = None,
        definition: Mapping[str, Any] | None = None,
    ) -> None:
        """Give everybody this value of a flag; subscribed queries that read it run again.

        `payload` goes with that value. `definition`, in PostHog's own form, replaces both, for
        conditions and rollouts.
        """
        made = _definition(key, value, payload) if definition is None else {**definition}
        self._flags[key] = {**made, "key": key}
        await self._store()

    async def remove_flag(self, key: str) -> None:
        """Make a flag unknown again."""
        del self._flags[key]
        await self._store()

    def fail(self, reason: str | None = "no answer within 3 s") -> None:
        """Let actions that ask PostHog find it unreachable; with None, let them reach it again."""
        self._answers.trouble = reason

    def _reported(self) -> Iterator[Event]:
        """What the component's lane would make of the reports so far."""
        lane = ReportLane()
        lane.component = self._component
        kinds = frozenset(lane.reads)
        if self._cleared_runs > len(self._t.run_records):
            self._cleared_runs = 0  # the test has cleared them itself
        for record in self._t.run_records[self._cleared_runs :]:
            for entry in entries_of(record, kinds):
                if lane.admit(entry):
                    yield from map(json.loads, event_texts(entry, ENV))

    async def _store(self) -> None:
        text = json.dumps({"flags": list(self._flags.values())})
        self._answers.definitions = text
        self._stored += 1
        arguments = {
            "definitions": text,
            "etag": f'"{self._stored}"',
            "fetchedAt": self._t.now_ms,
        }
        await self._t.component(self._component).mutation("flags:store", arguments)


def _definition(key: str, value: bool | str, payload: Any) -> dict[str, Any]:
    name = "true" if isinstance(value, bool) else value
    filters: dict[str, Any] = {"groups": [{"properties": [], "rollout_percentage": 100}]}
    if not isinstance(value, bool):
        filters["multivariate"] = {"variants": [{"key": value, "rollout_percentage": 100}]}
    if payload is not None:
        filters["payloads"] = {name: json.dumps(payload)}
    return {"active": value is not False, "filters": filters}


class _Answers:
    """PostHog's side of what actions ask (`pyconvex.delivery.Transport`)."""

    def __init__(self) -> None:
        self.definitions = '{"flags": []}'
        #: Why it can't be reached.
        self.trouble: str | None = None

    async def send(self, request: Request) -> Response:
        if self.trouble is not None:
            raise Unreachable(self.trouble)
        if "/flags/definitions" in request.url:
            return Response(200, {}, self.definitions.encode())
        flags = self._flags(json.loads(request.body))
        return Response(200, {}, json.dumps({"flags": flags}).encode())

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _flags(self, question: Mapping[str, Any]) -> dict[str, Any]:
        parsed = parse_definitions(self.definitions)
        around = Surroundings(
            {key: parse_flag(text) for key, text in parsed.flags.items()},
            {id_: parse_cohort(text) for id_, text in parsed.cohorts.items()},
        )
        wanted = question.get("flag_keys_to_evaluate")
        return {
            key: _detail(
                compile_flag(flag, around).evaluate(
                    question["distinct_id"],
                    question["person_properties"],
                    question["groups"],
                    question["group_properties"],
                    0.0,
                )
            )
            for key, flag in around.flags.items()
            if flag.active and (wanted is None or key in wanted)
        }


def _detail(verdict: Verdict) -> dict[str, Any]:
    """A verdict in the words of the endpoint; what nobody knows of the person doesn't match."""
    payload = None if verdict.payload is None else json.dumps(verdict.payload)
    return {
        "enabled": bool(verdict.value),
        "variant": verdict.value if isinstance(verdict.value, str) else None,
        "metadata": {"payload": payload},
    }
