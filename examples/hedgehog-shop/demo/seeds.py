"""What the demo fills PostHog Local with before anybody comes.

Owns the flags that the shop reads. Never changes what is there already.
"""

from __future__ import annotations

from posthog_local.testing import PostHogLocal

#: The multivariate flag that decides about the discount.
FLAG = "discount-campaign"


def plant(local: PostHogLocal) -> None:
    """The discount's flag, switched off."""
    local.set_flag(FLAG, active=False, variants={"variant-a": 100, "variant-b": 0})
