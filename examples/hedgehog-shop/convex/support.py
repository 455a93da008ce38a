"""The support's agent, and the model that it asks.

With `OPENAI_API_KEY` or `OPENAI_BASE_URL` set on the deployment it asks that model, at whatever
speaks OpenAI's API; otherwise one that is bundled (`parrot`) and needs no network. The library is
large, so the first answer imports it and not the deploy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pyconvex import ActionCtx, Id

from . import chat
from .users import User

if TYPE_CHECKING:
    from pydantic_ai import Agent
    from pydantic_ai.models import Model

INSTRUCTIONS = """
You are the support of a shop for hedgehogs. Answer in one or two friendly sentences, from what the
tools tell you alone. Prices are in euros.
"""


@dataclass
class Customer:
    """Who asks, and the call in which the agent may run functions."""

    ctx: ActionCtx
    user_id: Id[User]


@cache
def agent() -> "Agent[Customer, str]":
    """The agent; its tools are functions of the shop."""
    from pydantic_ai import Agent, RunContext

    made = Agent(deps_type=Customer, name="shop-support", instructions=INSTRUCTIONS)

    @made.tool
    async def look_at_the_shelf(run: RunContext[Customer]) -> list[dict[str, Any]]:
        """What is for sale: name, description and price of each product."""
        return [dict(one) for one in await run.deps.ctx.run_query(chat.shelf)]

    @made.tool
    async def look_up_orders(run: RunContext[Customer]) -> list[int]:
        """What the customer paid for each of their orders, the latest first."""
        return await run.deps.ctx.run_query(chat.orders_of, run.deps.user_id)

    return made


def model(env: Mapping[str, str]) -> "Model":
    """The model that answers."""
    base_url, key = env.get("OPENAI_BASE_URL"), env.get("OPENAI_API_KEY")
    if not base_url and not key:
        from .parrot import parrot

        return parrot()
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    # Servers of one's own often want no key, and the client insists on one.
    provider = OpenAIProvider(base_url=base_url, api_key=key or "none")
    return OpenAIChatModel(env.get("OPENAI_MODEL", "gpt-4o-mini"), provider=provider)
