"""The tables that SQL may ask, with their columns, as a person reads them.

Owns these names and nothing of how they are answered.
"""

from __future__ import annotations

from functools import lru_cache

#: Each table with its columns, as the console lists them.
TABLES = {
    "events": (
        "uuid, event, timestamp, distinct_id, properties, person_id, person.properties,"
        " person.created_at, created_at, $session_id, $window_id, elements_chain,"
        " $group_0 … $group_4"
    ),
    "persons": "id, properties, created_at, is_identified",
    "person_distinct_ids": "distinct_id, person_id",
    "groups": "index, key, properties, created_at",
    "sessions": (
        "session_id, distinct_id, $start_timestamp, $end_timestamp, $session_duration,"
        " $event_count, $pageview_count, $autocapture_count, $screen_count, $num_uniq_urls,"
        " $entry_current_url, $entry_pathname, $entry_referring_domain, $entry_utm_source,"
        " $entry_utm_medium, $entry_utm_campaign, $exit_current_url, $end_current_url,"
        " $end_pathname, $is_bounce"
    ),
    "logs": (
        "timestamp, observed_timestamp, severity_text, severity_number, service_name, body,"
        " attributes, resource_attributes, event_name, trace_id, span_id, distinct_id, session_id"
    ),
}


@lru_cache
def columns_of(table: str) -> tuple[str, ...]:
    """The columns of a table, one by one; none of a table that is not ours.

    >>> columns_of("person_distinct_ids")
    ('distinct_id', 'person_id')
    """
    names = TABLES.get(table, "").replace("$group_0 … $group_4", ", ".join(_GROUPS))
    return tuple(name for name in names.split(", ") if name)


_GROUPS = tuple(f"$group_{number}" for number in range(5))
