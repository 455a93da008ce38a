"""An agent of pydantic-ai whose tools call functions, and that streams into a table."""

from dataclasses import dataclass

from pydantic_ai import Agent, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

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


@dataclass
class Deps:
    ctx: ActionCtx


agent = Agent(deps_type=Deps, name="support", instructions="Help.")


def model(ctx: ActionCtx) -> OpenAIChatModel:
    base = f"{ctx.env['OPENAI_BASE_URL']}/v1"
    provider = OpenAIProvider(base_url=base, api_key="sk-canary-openai")
    return OpenAIChatModel("gpt-4o-mini", provider=provider)


@internal_query
async def price(ctx: QueryCtx, product: str) -> float:
    return 12.5


@agent.tool
async def price_of(run: RunContext[Deps], product: str) -> float:
    """The price of a product."""
    return await run.deps.ctx.run_query(price, product=product)


@action
async def support(ctx: ActionCtx, text: str) -> str:
    ctx.set_user_id("ada")
    found = await agent.run(text, deps=Deps(ctx), model=model(ctx))
    return found.output


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
    async with agent.run_stream(text, deps=Deps(ctx), model=model(ctx)) as found:
        async for so_far in found.stream_text(debounce_by=None):
            await ctx.run_mutation(grow, answer=answer, text=so_far, done=False)
        whole = await found.get_output()
    await ctx.run_mutation(grow, answer=answer, text=whole, done=True)
    return whole
