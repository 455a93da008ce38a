"""Feature flags: definitions, PostHog's server-side evaluation, and the routes of both."""
