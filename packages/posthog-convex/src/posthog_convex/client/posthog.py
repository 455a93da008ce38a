"""`PostHog`, put together.

Owns nothing but the name. Never does anything that the rooms beside it don't. One invariant: what
an app can call is a method of this one class.
"""

from __future__ import annotations

from posthog_convex.client.event_calls import EventCalls
from posthog_convex.client.remote_calls import RemoteCalls


class PostHog(EventCalls, RemoteCalls):
    """PostHog for the functions of an app. Make one, at the top of a module.

        posthog = PostHog(components.posthog)

    The person is, in this order: what `identify(ctx)` returns, the `distinct_id` of the call,
    `ctx.user_id`. `before_send`, one hook or a list, sees each event before it is recorded and may
    change or drop it; a hook that raises drops the event with a warning.
    """
