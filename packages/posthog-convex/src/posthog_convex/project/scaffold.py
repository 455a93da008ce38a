"""The files of `pyconvex init --with-posthog`.

Owns their texts. Never writes them; the command does.
"""

from __future__ import annotations

from typing import Final

_CONFIG: Final = '''\
"""The app: the variables that it needs and the components that it uses."""

from posthog_convex import posthog_component
from pyconvex import define_app, v

app = define_app(
    env={
        "POSTHOG_PROJECT_TOKEN": v.string(),
        "POSTHOG_HOST": v.optional(v.string()),
        "POSTHOG_PERSONAL_API_KEY": v.optional(v.string()),
    }
)
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
    # Commits with the message, and reaches PostHog once.
    await posthog.capture(
        ctx, "message_sent", distinct_id=author, properties={"length": len(body)}
    )
'''


def files() -> dict[str, str]:
    """The files by their path in the functions folder."""
    return {"convex_config.py": _CONFIG, "posthog.py": _POSTHOG, "messages.py": _MESSAGES}
