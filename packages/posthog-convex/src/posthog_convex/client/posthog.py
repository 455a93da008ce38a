"""`PostHog`, put together.

Owns nothing but the name. Never does anything that the rooms beside it don't. One invariant: what
an app can call is a method of this one class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from posthog_convex.client.error_calls import ErrorCalls
from posthog_convex.client.event_calls import EventCalls
from posthog_convex.client.remote_calls import RemoteCalls
from posthog_convex.client.slips import no_method


class PostHog(EventCalls, ErrorCalls, RemoteCalls):
    """PostHog for the functions of an app. Make one, at the top of a module.

        posthog = PostHog(components.posthog)

    The person is, in this order: what `identify(ctx)` returns, the `distinct_id` of the call,
    `ctx.user_id`. `before_send`, one hook or a list, sees each event before it is recorded and may
    change or drop it; a hook that raises drops the event with a warning. `super_properties` go on
    each event before that, over those of the same name that it has.

    `send_feature_flag_events` False ends the exposures that reading a flag reports. The others are
    about reported errors: `in_app_modules` names packages whose frames count as the app's own;
    `capture_exception_code_variables` adds the variables of the app's frames, without those whose
    names match `code_variables_ignore_patterns` and masked where they match
    `code_variables_mask_patterns` or look like secrets.
    """

    if not TYPE_CHECKING:  # a type checker knows the methods

        def __getattr__(self, name: str) -> NoReturn:
            methods = [each for each in dir(PostHog) if not each.startswith("_")]
            raise AttributeError(no_method(name, methods), name=name, obj=self)
