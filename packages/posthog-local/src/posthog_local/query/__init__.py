"""PostHog's API for reading what was collected."""
