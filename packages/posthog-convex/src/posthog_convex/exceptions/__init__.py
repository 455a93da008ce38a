"""Python errors as PostHog's error tracking reads them.

Owns the way from an exception to `$exception_list`: causes, groups, frames, source lines, masked
variables. Never sends, reads a clock or knows the host. One invariant: whatever an error holds,
describing it raises nothing and stays within a bounded size.
"""

from posthog_convex.exceptions.about import About
from posthog_convex.exceptions.budget import Budget, kind_of, told_of_left_out
from posthog_convex.exceptions.chain import Link, chain
from posthog_convex.exceptions.entries import Description, Entry, describe
from posthog_convex.exceptions.frames import FrameRules
from posthog_convex.exceptions.stacktext import described_by_text
from posthog_convex.exceptions.variables import MASK_PATTERNS, VariableRules

__all__ = [
    "MASK_PATTERNS",
    "About",
    "Budget",
    "Description",
    "Entry",
    "FrameRules",
    "Link",
    "VariableRules",
    "chain",
    "describe",
    "described_by_text",
    "kind_of",
    "told_of_left_out",
]
