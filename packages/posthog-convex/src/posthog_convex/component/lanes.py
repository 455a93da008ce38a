"""The component's lanes: events out, flag definitions in.

Owns the two requests and what PostHog's answers to them mean. Never decides when to retry, split or
give up: the host's delivery does. One invariant: an answer that doesn't say "here it is" or "I have
it" changes nothing: events stay queued, stored definitions stay in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from posthog_convex.component.batches import (
    USER_AGENT,
    batch_request,
    checked_text,
    classify_batch,
)
from posthog_convex.component.polling import Look, Outcome, look
from posthog_convex.component.settings import is_disabled, misplaced_token, poll_interval_s
from pyconvex.delivery import (
    LaneContext,
    QueueLane,
    Request,
    Response,
    TimerLane,
    Verdict,
)
from pyconvex.values import Value


class Stored(msgspec.Struct, frozen=True):
    """What the component has: whose definitions, and the kind of trouble that it was told of."""

    etag: str | None
    failing: str | None


class EventLane(QueueLane):
    """Carries events to PostHog in commit order.

    A row is an event's JSON text. It carries its uuid and timestamp since the function ran, and the
    request carries no `sent_at`; so what is sent twice is one event.
    """

    queue = "events"
    needs = ("POSTHOG_PROJECT_TOKEN",)

    def unfit(self, env: Mapping[str, str]) -> str | None:
        return misplaced_token(env)

    def encode(self, rows: Sequence[Value], env: Mapping[str, str]) -> Request:
        return batch_request([checked_text(row) for row in rows], env)

    def classify(self, response: Response) -> Verdict:
        return classify_batch(response)


class FlagLane(TimerLane):
    """Keeps the stored flag definitions fresh: one conditional request an interval.

    Without a key, or with `POSTHOG_DISABLE_LOCAL_EVALUATION`, it does nothing at all. Whatever goes
    wrong, the last definitions that arrived stay in force.
    """

    needs = ("POSTHOG_PROJECT_TOKEN", "POSTHOG_PERSONAL_API_KEY")

    def __init__(self) -> None:
        #: What was logged last, so that a lasting trouble is told once.
        self._said: str | None = None
        #: What was said last about an unreadable interval.
        self._odd_interval: str | None = None
        #: Polls in a row that PostHog could not answer.
        self._outages = 0
        #: When PostHog last said that what is stored is what it has.
        self._confirmed_ms: float | None = None

    async def tick(self, ctx: LaneContext) -> float | None:
        if is_disabled(ctx.env):
            return None
        interval_s = self._interval_s(ctx)
        stored = msgspec.convert(await ctx.run_query("flags:stored", {}), Stored)
        found = await look(_Outside(ctx), stored.etag, USER_AGENT)
        if found.outcome in (Outcome.UPDATED, Outcome.UNCHANGED):
            await self._recovered(ctx, failing=stored.failing is not None)
            return interval_s * ctx.jitter()
        if found.kind != stored.failing:
            await ctx.run_mutation("poll:failed", self._failure(ctx, found))
        if found.outcome is Outcome.UNREACHABLE:
            return max(self._outage(ctx, found.trouble, interval_s), found.retry_after_s)
        self._say(ctx, "error", f"{found.reason}; {_KEPT}")
        return max(interval_s * ctx.jitter(), found.retry_after_s)

    async def _recovered(self, ctx: LaneContext, *, failing: bool) -> None:
        if failing:
            await ctx.run_mutation("poll:recovered", {})
        if self._said is not None:
            self._say(ctx, "info", "flag definitions are fresh again")
        self._said, self._outages, self._confirmed_ms = None, 0, ctx.now_ms()

    def _failure(self, ctx: LaneContext, found: Look) -> dict[str, Value]:
        return {
            "kind": found.kind,
            "error": found.reason,
            "at": ctx.now_ms(),
            "confirmedAt": self._confirmed_ms,
        }

    def _outage(self, ctx: LaneContext, trouble: str, interval_s: float) -> float:
        """Soon again at first, since a server may just be starting; then at the usual interval."""
        self._outages += 1
        self._say(ctx, "warn", f"{trouble}; {_KEPT}")
        return float(min(interval_s, 2.0 ** min(self._outages - 1, 10))) * ctx.jitter()

    def _interval_s(self, ctx: LaneContext) -> float:
        interval_s, complaint = poll_interval_s(ctx.env)
        if complaint is not None and complaint != self._odd_interval:
            ctx.log("warn", complaint)
        self._odd_interval = complaint
        return interval_s

    def _say(self, ctx: LaneContext, level: str, text: str) -> None:
        if text != self._said:
            ctx.log(level, text)
            self._said = text


_KEPT = "the last definitions stay in force"


class _Outside(msgspec.Struct):
    """A lane's context as `look` needs it."""

    ctx: LaneContext

    @property
    def env(self) -> Mapping[str, str]:
        return self.ctx.env

    async def send(self, request: Request) -> Response:
        return await self.ctx.transport.send(request)

    async def run_mutation(self, path: str, args: Mapping[str, Value]) -> Value:
        return await self.ctx.run_mutation(path, args)

    def now_ms(self) -> float:
        return self.ctx.now_ms()
