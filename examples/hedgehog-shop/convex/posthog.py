from posthog_convex import PostHog
from pyconvex import components

posthog = PostHog(components.posthog)
