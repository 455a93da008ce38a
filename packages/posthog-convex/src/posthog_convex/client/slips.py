"""What people are told whose call can't be: in the wrong place, under another name, without a ctx.

Owns these words, and the checks that need nothing else. Never records. One invariant: each says
what to write instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from posthog_convex.client.arguments import Ctx, snake_case
from pyconvex import ActionCtx, MutationCtx, QueryCtx
from pyconvex.functions import ComponentReference


class PostHogError(Exception):
    """A call that can't be made here; nothing was recorded, and the message says what to do."""


def check_component(component: Any) -> None:
    """Raise `TypeError` for what is none, such as the token that PyPI `posthog` takes first."""
    if not isinstance(component, ComponentReference):
        raise TypeError(
            "PostHog(…) takes the component that the app has mounted, not "
            f"{type(component).__name__}: PostHog(components.posthog). Token and host are "
            "variables of the deployment."
        )


def no_option(name: str) -> str:
    """What is told of an argument of `PostHog(…)` that is none."""
    told = f"PostHog(…) has no option {name!r}"
    meant = snake_case(name)
    if meant != name:
        return f"{told}; here it is {meant!r}"
    return (
        f"{told}. Token, host, keys and the polling interval are variables of the deployment, such "
        "as in pyconvex env set POSTHOG_HOST=https://eu.i.posthog.com; nothing need be flushed"
    )


def check_ctx(ctx: Ctx, call: str) -> None:
    """Raise `TypeError` for what is no context, as in a call of PyPI `posthog`."""
    if not isinstance(ctx, (QueryCtx, ActionCtx)):
        raise TypeError(
            f"posthog.{call} takes the function's ctx first, not {type(ctx).__name__}: await "
            f"posthog.{call}(ctx, …)"
        )


def writer(ctx: Ctx, call: str) -> MutationCtx | ActionCtx:
    """The context of a call that records something. Raises `PostHogError` in a query."""
    if isinstance(ctx, (MutationCtx, ActionCtx)):
        return ctx
    check_ctx(ctx, call)
    raise PostHogError(
        f"posthog.{call} can't run in query '{ctx.function_name}': queries re-run and write "
        "nothing. Call it from a mutation or action."
    )


def asker(ctx: Ctx, call: str) -> ActionCtx:
    """The context of a call that asks PostHog now. Raises `PostHogError` elsewhere."""
    if isinstance(ctx, ActionCtx):
        return ctx
    check_ctx(ctx, call)
    kind = "mutation" if isinstance(ctx, MutationCtx) else "query"
    raise PostHogError(
        f"posthog.{call} can't run in {kind} '{ctx.function_name}': it asks PostHog over HTTP, "
        f"which only actions may. {_INSTEAD.get(call, _READ_LOCALLY)}"
    )


_READ_LOCALLY = "Call it from an action, or read the flag here with get_feature_flag."
_INSTEAD = {
    "reload_feature_flags": "Call it from an action; the lane refreshes flags by itself anyway."
}


def no_method(name: str, methods: Sequence[str]) -> str:
    """What is told of a method that is none."""
    told = f"PostHog has no {name!r}"
    if name in _OTHER_NAMES:
        return f"{told}: {_OTHER_NAMES[name]}"
    near = get_close_matches(snake_case(name), methods, n=1)
    return f"{told}; did you mean {near[0]!r}?" if near else f"{told}; it has {', '.join(methods)}"


_NOTHING_TO_DO = "nobody needs to, events are rows and the host sends them"
#: Methods of PostHog's SDKs that are called otherwise here, or not needed.
_OTHER_NAMES = MappingProxyType(
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
