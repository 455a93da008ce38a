"""Somebody as flag evaluation asks for them, from what is stored.

Owns which facts go in. The route of the SDKs adds what a request says, and does not come here.
"""

from __future__ import annotations

from collections.abc import Mapping

from posthog_local.flags.evaluate import Subject
from posthog_local.store.reader import Reader


def subject_of(
    reader: Reader, distinct_id: str, group_keys: Mapping[str, str] | None = None
) -> Subject:
    """The person with this id, and the groups that they are asked about in."""
    numbers = {name: index for index, name in reader.group_types().items()}
    keys = dict(group_keys or {})
    return Subject(
        distinct_id=distinct_id,
        person_properties=reader.person_properties(distinct_id) or {},
        group_keys=keys,
        group_properties={
            name: reader.group_properties(numbers[name], key)
            for name, key in keys.items()
            if name in numbers
        },
    )
