"""PostHog's management API, over the one project there is."""
