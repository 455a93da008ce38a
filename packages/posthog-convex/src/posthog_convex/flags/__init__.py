"""Feature flags evaluated here, from PostHog's definitions, without a request.

Owns reading definitions, and compiling each into a closure. Never fetches or stores anything, and
imports nothing of the host. One invariant: a verdict is given only when nothing that is unknown
here (a property that was not passed, a static cohort) could change it; otherwise the answer is "no
verdict", with the reason.
"""

from posthog_convex.flags.bucket import bucket_hash, holdout_hash
from posthog_convex.flags.compile import CompiledFlag, Surroundings, compile_flag, undecided_flag
from posthog_convex.flags.definitions import (
    Cohort,
    DefinitionSet,
    FlagDefinition,
    References,
    UnreadableDefinition,
    parse_cohort,
    parse_definitions,
    parse_flag,
    references_of_cohort,
    references_of_flag,
)
from posthog_convex.flags.verdict import Reason, State, Verdict

__all__ = [
    "Cohort",
    "CompiledFlag",
    "DefinitionSet",
    "FlagDefinition",
    "Reason",
    "References",
    "State",
    "Surroundings",
    "UnreadableDefinition",
    "Verdict",
    "bucket_hash",
    "compile_flag",
    "holdout_hash",
    "parse_cohort",
    "parse_definitions",
    "parse_flag",
    "references_of_cohort",
    "references_of_flag",
    "undecided_flag",
]
