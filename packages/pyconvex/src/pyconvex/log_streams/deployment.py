"""Which deployment events come from.

Owns what receivers are told of it, under Convex's names. Never holds a secret. One invariant: every
field but the name may be unknown, and is `null` then.
"""

from __future__ import annotations

import msgspec


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The object `convex` beside each event of a webhook."""

    deployment_name: str
    #: "dev", "prod", "preview" or "custom".
    deployment_type: str | None = None
    deployment_ref: str | None = None
    project_name: str | None = None
    project_slug: str | None = None
    deployment_region: str | None = None
