"""Log streams to PostHog: every line to PostHog Logs, every error to Error Tracking, without code.

Owns the two kinds of streams that installing this package adds to the host. Never reads the run log
or decides when to send: the host's lanes do. One invariant: what is a person's is so because the
run looked who called, so what two people share is neither's.
"""

from posthog_convex.sinks.errors import PostHogErrorTrackingSink
from posthog_convex.sinks.logs import PostHogLogsSink

__all__ = ["PostHogErrorTrackingSink", "PostHogLogsSink"]
