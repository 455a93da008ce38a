"""The component's tables: flag definitions, a row each.

Owns the rows' fields. Never reads them. One invariant: `hash` changes whenever evaluation could, so
a compiled flag is known by the hashes of the rows that it was made from.
"""

from __future__ import annotations

from pyconvex import Document


class FlagRow(Document, table="flags", indexes={"by_key": ["key"]}):
    """One flag's definition."""

    key: str
    hash: str
    #: As PostHog sent it, so that a later release can read more of it; empty when too large.
    definition: str
    matching_version: int
    #: Keys of flags and ids of cohorts that its conditions name.
    flags: list[str]
    cohorts: list[str]
    group_types: bool


class CohortRow(Document, table="cohorts", indexes={"by_cohort_id": ["cohort_id"]}):
    """One cohort's property group."""

    cohort_id: str
    hash: str
    definition: str
    flags: list[str]
    cohorts: list[str]


class MetaRow(Document, table="meta", indexes={"by_name": ["name"]}):
    """What there is one of, as JSON text; see the names."""

    name: str
    json: str


#: Group type names by index.
GROUP_TYPES = "groupTypes"
#: Hashes of all rows, so that a refresh finds what changed without reading definitions.
CONTENTS = "contents"
#: Whose definitions these are: their etag and when they were fetched. Moves with every change.
SOURCE = "source"
#: Present, and never changed, once definitions were complete for the first time.
LOADED = "loaded"
#: How events were last seen to be delivered.
DELIVERY = "delivery"
#: Present while refreshes fail: since when, and why.
TROUBLE = "trouble"
