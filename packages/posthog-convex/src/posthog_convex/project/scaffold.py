"""The files of `pyconvex init --with-posthog`.

Owns their texts. Never writes them; the command does.
"""

from __future__ import annotations

from typing import Final

_CONFIG: Final = '''\
"""The app: the variables that it needs and the components that it uses."""

from posthog_convex import posthog_component
from pyconvex import define_app

# POSTHOG_PROJECT_TOKEN, which must be set, and what may be: add the app's own.
app = define_app(env={**posthog_component.declared_env})
app.use(posthog_component, env=app.env)
'''

_POSTHOG: Final = '''\
"""PostHog, for the functions beside this file."""

from posthog_convex import PostHog
from pyconvex import components

posthog = PostHog(components.posthog)
'''

_MESSAGES: Final = '''\
"""A room in which everybody can say something."""

from pyconvex import Document, MutationCtx, QueryCtx, mutation, query

from .posthog import posthog


class Message(Document, table="messages"):
    author: str
    body: str


@query
async def latest(ctx: QueryCtx) -> list[Message]:
    return await ctx.db.query(Message).order("desc").take(50)


@mutation
async def send(ctx: MutationCtx, author: str, body: str) -> None:
    await ctx.db.insert(Message(author=author, body=body))
    # Commits with the message, and reaches PostHog once, as an event of whoever is signed in.
    person = ctx.user_id or author
    await posthog.capture(ctx, "message_sent", distinct_id=person, properties={"length": len(body)})
'''

_TESTS: Final = '''\
"""The functions, tested in this process: no server and no port. Run with: pytest"""

from pathlib import Path

import pytest
from posthog_convex.testing import ENV, posthog_test
from pyconvex.testing import convex_test

CONVEX = Path(__file__).parents[1] / "convex"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_message_is_an_event_of_who_is_signed_in() -> None:
    async with convex_test(CONVEX, env=ENV) as t, posthog_test(t) as posthog:
        ada = t.with_identity(subject="ada")
        await ada.mutation("messages:send", author="Ada", body="hello")
        (message,) = await t.query("messages:latest")
        (event,) = posthog.events
        assert message.body == "hello"
        assert (event["event"], event["distinct_id"]) == ("message_sent", "ada")
'''


def files() -> dict[str, str]:
    """The files by their path in the project."""
    return {
        "convex/convex_config.py": _CONFIG,
        "convex/posthog.py": _POSTHOG,
        "convex/messages.py": _MESSAGES,
        "tests/test_messages.py": _TESTS,
    }
