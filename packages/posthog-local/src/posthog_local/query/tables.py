"""The tables that SQL may ask, with their columns, as a person reads them.

Owns these names and nothing of how they are answered.
"""

from __future__ import annotations

#: Each table with its columns, as the console lists them.
TABLES = {
    "events": (
        "uuid, event, timestamp, distinct_id, properties, person_id, person.properties,"
        " person.created_at, created_at, $session_id, $group_0 … $group_4"
    ),
    "persons": "id, properties, created_at, is_identified",
    "person_distinct_ids": "distinct_id, person_id",
    "groups": "index, key, properties, created_at",
    "sessions": (
        "session_id, distinct_id, $start_timestamp, $end_timestamp, $session_duration,"
        " $event_count, $pageview_count, $autocapture_count, $entry_current_url, $exit_current_url"
    ),
    "logs": (
        "timestamp, observed_timestamp, severity_text, severity_number, service_name, body,"
        " attributes, resource_attributes, event_name, trace_id, span_id, distinct_id, session_id"
    ),
}
