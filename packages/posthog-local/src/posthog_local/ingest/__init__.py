"""Ingestion: requests of the capture routes become events, by the rules of PostHog's capture."""
