"""An agent of pydantic-ai whose tools call functions, and that streams into a table."""

from typing import Any

from pyconvex import (
    ActionCtx,
    Document,
    Id,
    MutationCtx,
    QueryCtx,
    action,
    internal_mutation,
    internal_query,
    query,
)


class Answer(Document, table="answers"):
    text: str
    done: bool


def gpt(ctx: ActionCtx) -> Any:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    base = f"{ctx.env['OPENAI_BASE_URL']}/v1"
    provider = OpenAIProvider(base_url=base, api_key="sk-canary-openai")
    return OpenAIChatModel("gpt-4o-mini", provider=provider)


def claude(ctx: ActionCtx) -> Any:
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    base = ctx.env["ANTHROPIC_BASE_URL"]
    provider = AnthropicProvider(base_url=base, api_key="sk-canary-anthropic")
    return AnthropicModel("claude-sonnet-4-5", provider=provider)


def agent(model: Any) -> Any:
    from pydantic_ai import Agent, RunContext

    made = Agent(model, deps_type=ActionCtx, name="support", instructions="Help.")

    @made.tool
    async def price_of(run: RunContext[ActionCtx], product: str) -> float:
        """The price of a product."""
        return await run.deps.run_query(price, product=product)

    return made


@internal_query
async def price(ctx: QueryCtx, product: str) -> float:
    return 12.5


@action
async def support(ctx: ActionCtx, text: str) -> str:
    ctx.set_user_id("ada")
    found = await agent(gpt(ctx)).run(text, deps=ctx)
    return str(found.output)


@action
async def support_by_claude(ctx: ActionCtx, text: str) -> str:
    ctx.set_user_id("ada")
    found = await agent(claude(ctx)).run(text, deps=ctx)
    return str(found.output)


@internal_mutation
async def begin(ctx: MutationCtx) -> Id[Answer]:
    return await ctx.db.insert(Answer(text="", done=False))


@internal_mutation
async def grow(ctx: MutationCtx, answer: Id[Answer], text: str, done: bool) -> None:
    await ctx.db.patch(answer, {"text": text, "done": done})


@query
async def answers(ctx: QueryCtx) -> list[str]:
    return [answer.text async for answer in ctx.db.query(Answer)]


@action
async def stream(ctx: ActionCtx, text: str) -> str:
    ctx.set_user_id("ada")
    answer = await ctx.run_mutation(begin)
    async with agent(gpt(ctx)).run_stream(text, deps=ctx) as found:
        async for so_far in found.stream_text(debounce_by=None):
            await ctx.run_mutation(grow, answer=answer, text=so_far, done=False)
        whole = str(await found.get_output())
    await ctx.run_mutation(grow, answer=answer, text=whole, done=True)
    return whole
