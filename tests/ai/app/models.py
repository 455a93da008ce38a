"""Functions that call models by the official clients.

The clients are imported where they are used, so that a test pays only for those that it needs.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyconvex import (
    ActionCtx,
    BlockingActionCtx,
    Document,
    MutationCtx,
    QueryCtx,
    action,
    internal,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)


class Note(Document, table="notes"):
    text: str


def client(ctx: ActionCtx, **options: Any) -> Any:
    from openai import AsyncOpenAI

    base = f"{ctx.env['OPENAI_BASE_URL']}/v1"
    return AsyncOpenAI(api_key="sk-canary-openai", base_url=base, **options)


async def ask(ctx: ActionCtx, text: str, **options: Any) -> str:
    messages: Any = [{"role": "user", "content": text}]
    async with client(ctx, max_retries=options.pop("retries", 0)) as openai:
        answer = await openai.chat.completions.create(
            model="gpt-4o-mini", messages=messages, **options
        )
        return str(answer.choices[0].message.content or "")


@action
async def chat(ctx: ActionCtx, text: str, user: str | None = None) -> str:
    if user is not None:
        ctx.set_user_id(user)
    return await ask(ctx, text)


@action
async def retried(ctx: ActionCtx, text: str) -> str:
    return await ask(ctx, text, retries=2)


@action
async def caught(ctx: ActionCtx, text: str) -> str:
    from openai import OpenAIError

    try:
        return await ask(ctx, text)
    except OpenAIError as error:
        return type(error).__name__


@action
async def streamed(ctx: ActionCtx, text: str) -> str:
    messages: Any = [{"role": "user", "content": text}]
    async with client(ctx) as openai:
        stream = await openai.chat.completions.create(
            model="gpt-4o-mini",
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        found = [c.choices[0].delta.content or "" async for c in stream if c.choices]
    return "".join(found)


@action
async def embed(ctx: ActionCtx, text: str) -> int:
    async with client(ctx) as openai:
        found = await openai.embeddings.create(model="text-embedding-3-small", input=text)
    return len(found.data[0].embedding)


@action
def blocking(ctx: BlockingActionCtx, text: str) -> str:
    from openai import OpenAI

    base = f"{ctx.env['OPENAI_BASE_URL']}/v1"
    messages: Any = [{"role": "user", "content": text}]
    found: list[str] = []

    def work() -> None:
        with OpenAI(api_key="sk-canary-openai", base_url=base) as openai:
            answer = openai.chat.completions.create(model="gpt-4o-mini", messages=messages)
        found.append(answer.choices[0].message.content or "")

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    return " ".join(found)


@action
async def in_background(ctx: ActionCtx, text: str) -> list[str]:
    tasks = [asyncio.create_task(ask(ctx, text)) for _ in range(2)]
    return [await task for task in tasks]


def claude_client(ctx: ActionCtx | BlockingActionCtx) -> dict[str, Any]:
    """How Anthropic's clients are made here."""
    base = ctx.env["ANTHROPIC_BASE_URL"]
    return {"api_key": "sk-canary-anthropic", "base_url": base, "max_retries": 0}


def claude_request(text: str, **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": messages, **more}


async def ask_claude(ctx: ActionCtx, text: str, **more: Any) -> Any:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(**claude_client(ctx)) as anthropic:
        return await anthropic.messages.create(**claude_request(text, **more))


@action
async def claude(ctx: ActionCtx, text: str) -> str:
    answer = await ask_claude(ctx, text)
    return str(answer.content[0].text)


@action
async def claude_with_tools(ctx: ActionCtx, text: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"product": {"type": "string"}}}
    tool = {"name": "price_of", "description": "The price.", "input_schema": schema}
    answer = await ask_claude(ctx, text, tools=[tool])
    return {"tool": answer.content[0].name, "input": answer.content[0].input}


@action
async def claude_streamed(ctx: ActionCtx, text: str) -> str:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic(**claude_client(ctx)) as anthropic:
        events = await anthropic.messages.create(**claude_request(text, stream=True))
        found = [e.delta.text async for e in events if e.type == "content_block_delta"]
    return "".join(found)


@action
async def claude_stream_helper(ctx: ActionCtx, text: str) -> str:
    from anthropic import AsyncAnthropic

    async with (
        AsyncAnthropic(**claude_client(ctx)) as anthropic,
        anthropic.messages.stream(**claude_request(text)) as stream,
    ):
        return "".join([piece async for piece in stream.text_stream])


@action
def claude_blocking(ctx: BlockingActionCtx, text: str) -> str:
    from anthropic import Anthropic

    with Anthropic(**claude_client(ctx)) as anthropic:
        answer: Any = anthropic.messages.create(**claude_request(text))
    return str(answer.content[0].text)


@action
async def claude_private(ctx: ActionCtx, text: str) -> str:
    from posthog_convex import ai

    with ai.options(ctx, privacy_mode=True):
        answer = await ask_claude(ctx, text)
    return str(answer.content[0].text)


@internal_query
async def notes(ctx: QueryCtx) -> list[str]:
    return [note.text async for note in ctx.db.query(Note)]


@internal_mutation
async def note(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Note(text=text))


@action
async def noting(ctx: ActionCtx, text: str) -> list[str]:
    ctx.set_user_id("ada")
    answer = await ask(ctx, text)
    await ctx.run_mutation(note, text=answer)
    return await ctx.run_query(notes)


@internal_action
async def later(ctx: ActionCtx, text: str) -> None:
    ctx.set_user_id("ada")
    await ask(ctx, text)


@mutation
async def schedule(ctx: MutationCtx, text: str) -> None:
    await ctx.scheduler.run_after(0, later, text=text)


@action
async def answer_then_schedule(ctx: ActionCtx, text: str) -> str:
    ctx.set_user_id("ada")
    answer = await ask(ctx, text)
    await ctx.scheduler.run_after(0, later, text=text)
    return answer


@action
async def outer(ctx: ActionCtx, text: str) -> str:
    ctx.set_user_id("ada")
    return str(await ctx.run_action(internal.models.inner, {"text": text}))


@internal_action
async def inner(ctx: ActionCtx, text: str) -> str:
    return await ask(ctx, text)


@action
async def passed_on(ctx: ActionCtx, text: str) -> str:
    """Asks a model, and hands the trace on to it as to any other service."""
    return await ask(ctx, text, extra_headers={"traceparent": ctx.traceparent})


@action
async def where(ctx: ActionCtx) -> str:
    return ctx.traceparent


@action
async def private(ctx: ActionCtx, text: str) -> str:
    from posthog_convex import ai

    with ai.options(ctx, privacy_mode=True, properties={"plan": "pro"}, distinct_id="grace"):
        return await ask(ctx, text)


@action
async def untraced(ctx: ActionCtx, text: str) -> str:
    from posthog_convex import ai

    with ai.options(ctx, tracing=False):
        return await ask(ctx, text)


@query
async def plain(ctx: QueryCtx) -> int:
    return 1
