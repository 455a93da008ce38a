"""The HTTP edge that PostHog's routes share: requests, responses, CORS, limits, faults."""
