"""Logs: OTLP log records, kept with the person and session that they belong to."""
