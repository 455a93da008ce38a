"""The uuid of a person, made from a distinct id.

Owns the deterministic uuid that lets a personless event and the person who later appears coincide.
"""

from __future__ import annotations

from uuid import UUID, uuid5

# PostHog's own namespace for person uuids; the project of this server is always number 1.
_PERSON_NAMESPACE = UUID("932979b4-65c3-4424-8467-0b66ec27bc22")
PROJECT_ID = 1


def person_uuid(distinct_id: str) -> str:
    """The uuid of the person whose first distinct id this is.

    >>> person_uuid("user-1")
    '6931a681-6e90-500d-8294-14582dcc2e3f'
    """
    return str(uuid5(_PERSON_NAMESPACE, f"{PROJECT_ID}:{distinct_id}"))
