"""The component that an app mounts: `app.use(posthog_component, env=app.env)`.

Owns its declaration: variables, the queue of events and the lanes that talk to PostHog. Never runs
in the app's name: its functions read and write the component's own tables. One invariant: a row of
the queue is one event as its final JSON text, ready for a batch as it is, because property names
such as `$set` are no names of Convex fields.
"""

from pyconvex import define_component, v

posthog_component = define_component(
    "posthog",
    functions="posthog_convex.component.functions",
    env={
        "POSTHOG_PROJECT_TOKEN": v.string(),
        "POSTHOG_HOST": v.optional(v.string()),
        "POSTHOG_PERSONAL_API_KEY": v.optional(v.string()),
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": v.optional(v.string()),
        "POSTHOG_DISABLE_LOCAL_EVALUATION": v.optional(v.string()),
        "POSTHOG_WEBHOOK_SECRET": v.optional(v.string()),
        "POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE": v.optional(v.string()),
        "POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE": v.optional(v.string()),
        "POSTHOG_AI_PRIVACY_MODE": v.optional(v.string()),
        "POSTHOG_DISABLE_AI_TRACING": v.optional(v.string()),
    },
)
EVENTS_QUEUE = posthog_component.queue("events", open=True)
posthog_component.lane("posthog_convex.component.lanes:EventLane")
posthog_component.lane("posthog_convex.component.report_lane:ReportLane")
posthog_component.lane("posthog_convex.ai.lane:AiSpanLane")
posthog_component.lane("posthog_convex.component.lanes:FlagLane")
posthog_component.lane("posthog_convex.component.delivery_lane:DeliveryLane")

__all__ = ["EVENTS_QUEUE", "posthog_component"]
