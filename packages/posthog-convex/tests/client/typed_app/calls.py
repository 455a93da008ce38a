"""What a type checker knows of the calls; each `type: ignore` marks a mistake that it must find."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, assert_type
from uuid import uuid4

from posthog_convex import (
    FlagResult,
    FlagsAndPayloads,
    FlagState,
    PollState,
    PostHog,
    Reload,
    SendFeatureFlags,
)
from pyconvex import ActionCtx, MutationCtx, QueryCtx, components


def without_secrets(event: dict[str, Any]) -> dict[str, Any] | None:
    return None if event["event"] == "secret" else event


async def from_session(ctx: QueryCtx | MutationCtx | ActionCtx) -> str | None:
    return ctx.user_id


posthog = PostHog(components.posthog)
both = PostHog(components.posthog, identify=from_session, before_send=[without_secrets])
one = PostHog(components.posthog, identify=lambda ctx: "u", before_send=without_secrets)
PostHog(components.posthog, before_send="none")  # type: ignore[arg-type]


async def events_of_a_mutation(ctx: MutationCtx) -> None:
    assert_type(
        await posthog.capture(
            ctx,
            "bought",
            distinct_id="u",
            properties={"n": 1},
            groups={"company": 5},
            timestamp=datetime.now(UTC),
            uuid=uuid4(),
            disable_geoip=False,
            send_feature_flags=SendFeatureFlags(flag_keys=["a"]),
        ),
        str,
    )
    await posthog.identify(ctx, properties={"plan": "pro"}, set_once={"first": True})
    await posthog.set(ctx, {"plan": "pro"}, distinct_id="u")
    await posthog.set_once(ctx, {"plan": "pro"})
    await posthog.alias(ctx, "anon")
    await posthog.group_identify(ctx, "company", "acme", properties={"seats": 3})
    await posthog.capture(ctx, "bought", {"n": 1})  # type: ignore[call-arg]
    await posthog.capture(ctx, "bought", distinctId="u")  # type: ignore[call-arg]
    await posthog.capture(ctx, "bought", timestamp=5)  # type: ignore[arg-type]
    await posthog.set(ctx)  # type: ignore[call-arg]


async def events_of_an_action(ctx: ActionCtx) -> None:
    await posthog.capture(ctx, "acted")
    await posthog.alias(ctx, "anon")


async def flags_of_a_query(ctx: QueryCtx) -> None:
    assert_type(await posthog.get_feature_flag(ctx, "a"), bool | str | None)
    assert_type(await posthog.get_feature_flag(ctx, "a", default=5), bool | str | int)
    assert_type(await posthog.get_feature_flag(ctx, "a", groups={"c": 1}), bool | str | None)
    assert_type(await posthog.is_feature_enabled(ctx, "a"), bool | None)
    assert_type(await posthog.is_feature_enabled(ctx, "a", default=False), bool)
    assert_type(await posthog.get_all_flags(ctx), dict[str, bool | str])
    assert_type(await posthog.get_all_flags(ctx, default=None), dict[str, bool | str | None])
    assert_type(await posthog.get_all_flags_and_payloads(ctx, flag_keys=["a"]), FlagsAndPayloads)
    result = await posthog.get_feature_flag_result(ctx, "a", person_properties={"plan": "pro"})
    assert_type(result, FlagResult)
    assert_type(result.state, FlagState)
    assert_type(result.value, bool | str | None)
    await posthog.get_feature_flag_payload(ctx, "a", match_value="b", default={})
    await posthog.get_feature_flag(ctx, "a", person={"plan": "pro"})  # type: ignore[call-overload]
    await posthog.capture(ctx, "never")  # type: ignore[arg-type]
    await posthog.identify(ctx)  # type: ignore[arg-type]
    await posthog.set(ctx, {})  # type: ignore[arg-type]
    await posthog.group_identify(ctx, "company", "acme")  # type: ignore[arg-type]


async def exposures(ctx: QueryCtx) -> None:
    await posthog.get_feature_flag(ctx, "a", send_feature_flag_events=False)
    await posthog.get_feature_flag(ctx, "a", default=1, send_feature_flag_events=True)
    await posthog.get_all_flags(  # type: ignore[call-overload]
        ctx, send_feature_flag_events=False
    )
    PostHog(components.posthog, send_feature_flag_events=False, in_app_modules=["billing"])


async def errors(query: QueryCtx, mutation: MutationCtx, action: ActionCtx) -> None:
    try:
        raise ValueError("bad")
    except ValueError as error:
        assert_type(await posthog.capture_exception(query, error), str)
        await posthog.capture_exception(mutation, error, additional_properties={"order": 7})
        await posthog.capture_exception(action, distinct_id="u", groups={"company": "acme"})
        await posthog.capture_exception(query, "text")  # type: ignore[arg-type]
        await posthog.capture_exception(query, error, properties={})  # type: ignore[call-arg]


async def remote_flags_of_an_action(ctx: ActionCtx) -> None:
    assert_type(await posthog.evaluate_flag(ctx, "a"), bool | str | None)
    assert_type(await posthog.evaluate_flag(ctx, "a", default=0, timeout_s=1), bool | str | int)
    assert_type(await posthog.evaluate_all_flags(ctx, flag_keys=["a"]), FlagsAndPayloads)
    assert_type((await posthog.reload_feature_flags(ctx)).status, Reload)
    assert_type((await posthog.status(ctx)).poll, PollState)
    assert_type((await posthog.status(ctx)).queued, int)
    await posthog.evaluate_flag_payload(ctx, "a", default={}, groups={"company": "acme"})


async def what_is_remote_needs_an_action(query: QueryCtx, mutation: MutationCtx) -> None:
    await posthog.evaluate_flag(query, "a")  # type: ignore[call-overload]
    await posthog.evaluate_flag_payload(mutation, "a")  # type: ignore[arg-type]
    await posthog.evaluate_all_flags(query)  # type: ignore[arg-type]
    await posthog.reload_feature_flags(mutation)  # type: ignore[arg-type]
