"""`PostHog`: what an app's functions call, in modules by kind of call.

Owns what an app imports. Never sends: events go through the component's queue in the caller's
transaction, flags come from the component's tables, and only the remote calls leave, in actions.
"""

from posthog_convex.client.arguments import About, BeforeSend, Groups, Identify, SendFeatureFlags
from posthog_convex.client.posthog import PostHog
from posthog_convex.client.results import FlagResult, FlagsAndPayloads, FlagState
from posthog_convex.client.slips import PostHogError
from posthog_convex.client.status import PollState, Reload, Reloaded, Status

__all__ = [
    "About",
    "BeforeSend",
    "FlagResult",
    "FlagState",
    "FlagsAndPayloads",
    "Groups",
    "Identify",
    "PollState",
    "PostHog",
    "PostHogError",
    "Reload",
    "Reloaded",
    "SendFeatureFlags",
    "Status",
]
