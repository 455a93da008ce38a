"""Log records in one request.

Owns the body: resource, scope, records, and how much is in one. Never decides when to send. One
invariant: unpacked it is within what PostHog takes, and equal records make equal bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

import msgspec

from posthog_convex.destination import Destination
from posthog_convex.logs.events import Deployment
from posthog_convex.logs.record import LogRecord, attributes

#: PostHog refuses 2 MiB, measured after unpacking.
MAX_BODY_BYTES = 1536 * 1024
#: Log records are so alike that they become a thirteenth at this level and a fifteenth at the usual
#: 6, which takes two and a half times as long.
COMPRESSION = 3


class BodyTooLarge(ValueError):
    """The records make more than one request; half of them may make one."""


class Resource(msgspec.Struct, frozen=True):
    """What the records come from."""

    deployment: Deployment
    #: What PostHog lists the lines under; None for the deployment's name.
    service_name: str | None = None

    def as_attributes(self) -> dict[str, str]:
        """As OpenTelemetry has it; what is not known is left out."""
        of = self.deployment
        named = {
            "service.name": self.service_name or of.deployment_name,
            "convex.deployment.name": of.deployment_name,
            "convex.deployment.type": of.deployment_type,
            "convex.deployment.ref": of.deployment_ref,
            "convex.deployment.region": of.deployment_region,
            "convex.project.name": of.project_name,
            "convex.project.slug": of.project_slug,
        }
        return {name: value for name, value in named.items() if value}


def logs_body(groups: Sequence[tuple[Resource, Sequence[LogRecord]]]) -> bytes:
    """The compressed body; records of each resource in their order. Raises `BodyTooLarge`.

    >>> from posthog_convex.logs.record import Severity
    >>> line = LogRecord(ts_ns=1, severity=Severity.INFO, body="ready")
    >>> b'"ready"' in gzip.decompress(logs_body([(Resource(Deployment("shop")), [line])]))
    True
    """
    body = msgspec.json.encode({"resourceLogs": [_group(of, records) for of, records in groups]})
    many = sum(len(records) for _, records in groups)
    if len(body) > MAX_BODY_BYTES and many > 1:
        raise BodyTooLarge(f"{many} records make {len(body)} bytes")
    # Without a time in the header, equal records make equal bytes.
    return gzip.compress(body, compresslevel=COMPRESSION, mtime=0)


def logs_headers(destination: Destination, user_agent: str) -> tuple[tuple[str, str], ...]:
    """The headers that go with a body."""
    return (
        ("Authorization", f"Bearer {destination.token.strip()}"),
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
        ("User-Agent", user_agent),
    )


def _group(resource: Resource, records: Sequence[LogRecord]) -> dict[str, Any]:
    scope = {"scope": {"name": "convex"}, "logRecords": [each.json() for each in records]}
    of = attributes(resource.as_attributes())
    return {"resource": {"attributes": of}, "scopeLogs": [scope]}
