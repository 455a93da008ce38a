"""LLM analytics: OTLP spans become `$ai_*` events, with their costs, as PostHog makes them."""
