from posthog_convex import posthog_component
from pyconvex import define_app, v

app = define_app(
    env={
        "POSTHOG_PROJECT_TOKEN": v.string(),
        "POSTHOG_HOST": v.optional(v.string()),
        "POSTHOG_PERSONAL_API_KEY": v.optional(v.string()),
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": v.optional(v.string()),
        "POSTHOG_AI_PRIVACY_MODE": v.optional(v.string()),
        # The support's model; without any of these a bundled one answers.
        "OPENAI_API_KEY": v.optional(v.string()),
        "OPENAI_BASE_URL": v.optional(v.string()),
        "OPENAI_MODEL": v.optional(v.string()),
    }
)
app.use(posthog_component, env=app.env)
