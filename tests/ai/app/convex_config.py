from pyconvex import define_app, v

app = define_app(
    env={
        "POSTHOG_PROJECT_TOKEN": v.optional(v.string()),
        "POSTHOG_HOST": v.optional(v.string()),
        "POSTHOG_AI_PRIVACY_MODE": v.optional(v.string()),
        "POSTHOG_DISABLE_AI_TRACING": v.optional(v.string()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": v.optional(v.string()),
        "OPENAI_BASE_URL": v.optional(v.string()),
        "ANTHROPIC_BASE_URL": v.optional(v.string()),
    },
    session_header="x-posthog-session-id",
)
