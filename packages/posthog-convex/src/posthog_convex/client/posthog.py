"""`PostHog`, put together.

Owns nothing but the name. Never does anything that the rooms beside it don't. One invariant: what
an app can call is a method of this one class.
"""

from __future__ import annotations

from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from posthog_convex.client.arguments import snake_case
from posthog_convex.client.error_calls import ErrorCalls
from posthog_convex.client.event_calls import EventCalls
from posthog_convex.client.remote_calls import RemoteCalls


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
            raise AttributeError(_no_method(name), name=name, obj=self)


def _no_method(name: str) -> str:
    told = f"PostHog has no {name!r}"
    if name in _INSTEAD:
        return f"{told}: {_INSTEAD[name]}"
    methods = [each for each in dir(PostHog) if not each.startswith("_")]
    near = get_close_matches(snake_case(name), methods, n=1)
    return f"{told}; did you mean {near[0]!r}?" if near else f"{told}; it has {', '.join(methods)}"


_NOTHING_TO_DO = "nobody needs to, events are rows and the host sends them"
#: Methods of PostHog's SDKs that are called otherwise here, or not needed.
_INSTEAD = MappingProxyType(
    {
        "flush": _NOTHING_TO_DO,
        "shutdown": _NOTHING_TO_DO,
        "join": _NOTHING_TO_DO,
        "track": "events are captured with 'capture'",
        "feature_enabled": "here it is 'is_feature_enabled'",
        "load_feature_flags": "here it is 'reload_feature_flags'",
        "evaluate_flags": "'get_all_flags_and_payloads' evaluates here, 'evaluate_all_flags' asks "
        "PostHog; capture(…, flags=…) takes what either answered",
        "identify_context": "whose call it is comes from ctx, or from an identify callback",
        "new_context": "whose call it is comes from ctx, or from an identify callback",
        "tag": "pass properties, or super_properties to PostHog(…)",
        "capture_ai": "use posthog_convex.ai",
        "screen": "events are captured with 'capture'",
        "page": "events are captured with 'capture'",
    }
)
