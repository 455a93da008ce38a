"""A model without any intelligence, for machines without a key: it repeats what tools say.

It understands two things: a question with "order" in it is about orders, and every other one about
the shelf. What it says is the same each time, a word after the other as models do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models.function import AgentInfo, DeltaToolCalls, FunctionModel

#: Between two words, in seconds: slow enough to see the answer grow.
PAUSE_S = 0.03


def parrot() -> FunctionModel:
    """The model."""
    from pydantic_ai.models.function import FunctionModel

    return FunctionModel(stream_function=_speak, model_name="parrot-1")


async def _speak(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | DeltaToolCalls]:
    from pydantic_ai.models.function import DeltaToolCall

    question = _question(messages)
    about_orders = "order" in question.lower()
    found = _found(messages)
    if found is None:
        tool = "look_up_orders" if about_orders else "look_at_the_shelf"
        yield {0: DeltaToolCall(name=tool, json_args="{}", tool_call_id="look")}
        return
    answer = (
        _of_orders(json.loads(found)) if about_orders else _of_shelf(json.loads(found), question)
    )
    for word in answer.split(" "):
        yield f"{word} "
        await asyncio.sleep(PAUSE_S)


def _question(messages: list[ModelMessage]) -> str:
    from pydantic_ai.messages import UserPromptPart

    parts = [part for message in messages for part in message.parts]
    asked = [str(part.content) for part in parts if isinstance(part, UserPromptPart)]
    return asked[-1] if asked else ""


def _found(messages: list[ModelMessage]) -> str | None:
    """What the tool said, once it did."""
    from pydantic_ai.messages import ModelRequest, ToolReturnPart

    last = messages[-1]
    if not isinstance(last, ModelRequest):
        return None
    told = [part for part in last.parts if isinstance(part, ToolReturnPart)]
    return told[-1].model_response_str() if told else None


def _of_orders(paid: list[int]) -> str:
    if not paid:
        return "You have not ordered anything yet. The winter houses are still warm."
    return f"You have ordered {len(paid)} times. The last time you paid {paid[0]} €."


def _of_shelf(products: list[dict[str, str | int]], question: str) -> str:
    named = [one for one in products if str(one["name"]).lower() in question.lower()]
    if not named:
        return "We have " + ", ".join(f"{one['name']} ({one['price']} €)" for one in products) + "."
    told = [f"{one['name']} is {one['price']} €: {one['about']}" for one in named]
    return " ".join(told)
