"""Spans and generations that no instrumentation makes."""

import asyncio
from contextlib import suppress

from opentelemetry import trace

from posthog_convex import ai
from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    MutationCtx,
    QueryCtx,
    action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)

tracer = trace.get_tracer("by_hand")


@query
async def rank(ctx: QueryCtx, text: str) -> int:
    with tracer.start_as_current_span("rank", attributes={"gen_ai.operation.name": "rank"}):
        await ctx.run_query(inner)
    return len(text)


@internal_query
async def inner(ctx: QueryCtx) -> int:
    return 1


@mutation
async def fail(ctx: MutationCtx) -> None:
    with tracer.start_as_current_span("doomed", attributes={"gen_ai.operation.name": "x"}):
        raise ConvexError("no")


@action
async def leave_open(ctx: ActionCtx) -> None:
    tracer.start_span("stream", attributes={"gen_ai.operation.name": "chat"})


@action
async def captured(ctx: ActionCtx) -> None:
    ctx.set_user_id("ada")
    await ai.capture_ai_generation(
        ctx,
        model="gpt-4o-mini",
        provider="openai",
        input=[{"role": "user", "content": "soft?"}],
        output=[{"role": "assistant", "content": "yes"}],
        input_tokens=1000,
        output_tokens=100,
        latency_s=1.25,
        properties={"plan": "pro"},
    )


@mutation
async def captured_in_mutation(ctx: MutationCtx) -> None:
    await ai.capture_ai_generation(
        ctx,
        model="gpt-4o-mini",
        provider="openai",
        input="soft?",
        error=TimeoutError("too slow"),
        distinct_id="grace",
    )


class Gate(Document, table="gates"):
    name: str


@mutation
async def open_gate(ctx: MutationCtx, name: str) -> None:
    await ctx.db.insert(Gate(name=name))


@internal_query
async def is_open(ctx: QueryCtx, name: str) -> bool:
    return name in [gate.name async for gate in ctx.db.query(Gate)]


@action
async def step_by_step(ctx: ActionCtx, gate: str) -> None:
    """Two steps: the second one begins when the gate opens."""
    ctx.set_user_id("ada")
    for number in range(2):
        attributes = {"gen_ai.operation.name": "step"}
        with tracer.start_as_current_span(f"step {number}", attributes=attributes):
            pass
        while not await ctx.run_query(is_open, name=gate):
            await asyncio.sleep(0.05)


@action
async def prepares(ctx: ActionCtx, asks: bool) -> None:
    """Looks around, and then asks a model or does not."""
    ctx.set_user_id("ada")
    await ctx.run_query(inner)
    with suppress(ConvexError):
        await ctx.run_mutation(fails_quietly)
    if asks:
        await ai.capture_ai_generation(ctx, model="m", provider="own", input="soft?")
        await ctx.run_query(inner)


@internal_mutation
async def fails_quietly(ctx: MutationCtx) -> None:
    raise ConvexError("nothing of a model")
