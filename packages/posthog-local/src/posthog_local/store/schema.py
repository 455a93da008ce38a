"""What the SQLite file holds, and the version of that format.

Owns table definitions and nothing else. Times are microseconds since 1970, JSON is text. An event
row names no person: its distinct id does, through `person_distinct_ids`, so that a merge re-points
every earlier event at once.
"""

from __future__ import annotations

import apsw

APPLICATION_ID = 0x50484C31

EVENT_COLUMNS = (
    "seq, uuid, event, distinct_id, person_mode, timestamp_us, received_us, "
    "session_id, window_id, group_0, group_1, group_2, group_3, group_4, properties"
)

# One step a format version: a folder of an older version is brought here step by step.
_STEPS = (
    """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE,
    event TEXT NOT NULL,
    distinct_id TEXT NOT NULL,
    person_mode TEXT NOT NULL,
    timestamp_us INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    session_id TEXT,
    window_id TEXT,
    group_0 TEXT, group_1 TEXT, group_2 TEXT, group_3 TEXT, group_4 TEXT,
    properties TEXT NOT NULL
);
CREATE INDEX events_by_distinct_id ON events (distinct_id, timestamp_us);
CREATE INDEX events_by_name ON events (event, timestamp_us);

CREATE TABLE persons (
    id TEXT PRIMARY KEY,
    properties TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    is_identified INTEGER NOT NULL
);
CREATE TABLE person_distinct_ids (
    distinct_id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX person_distinct_ids_by_person ON person_distinct_ids (person_id);

CREATE TABLE group_types (name TEXT PRIMARY KEY, type_index INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE groups (
    type_index INTEGER NOT NULL,
    key TEXT NOT NULL,
    properties TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (type_index, key)
) WITHOUT ROWID;

CREATE TABLE flags (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    definition TEXT NOT NULL,
    updated_at_us INTEGER NOT NULL
);
CREATE TABLE cohorts (id INTEGER PRIMARY KEY, definition TEXT NOT NULL);
CREATE TABLE flag_hash_keys (
    person_id TEXT NOT NULL,
    flag_key TEXT NOT NULL,
    hash_key TEXT NOT NULL,
    PRIMARY KEY (person_id, flag_key)
) WITHOUT ROWID;

CREATE TABLE warnings (
    seq INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    event TEXT,
    uuid TEXT,
    distinct_id TEXT,
    details TEXT NOT NULL
);
""",
    """
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp_us INTEGER NOT NULL,
    observed_us INTEGER NOT NULL,
    severity TEXT NOT NULL,
    severity_number INTEGER NOT NULL,
    service_name TEXT NOT NULL,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL,
    resource_attributes TEXT NOT NULL,
    scope TEXT NOT NULL,
    event_name TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    distinct_id TEXT,
    session_id TEXT
);
CREATE INDEX logs_by_time ON logs (timestamp_us);
CREATE INDEX logs_by_distinct_id ON logs (distinct_id, timestamp_us) WHERE distinct_id IS NOT NULL;
CREATE INDEX logs_by_trace ON logs (trace_id) WHERE trace_id != '';
""",
    """
CREATE TABLE issues (
    id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    first_seen_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE issue_events (
    issue_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (issue_id, seq)
) WITHOUT ROWID;
""",
    """
CREATE TABLE trace_events (
    trace_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (trace_id, seq)
) WITHOUT ROWID;
CREATE INDEX trace_events_by_seq ON trace_events (seq);
""",
    """
CREATE TABLE recording_pieces (
    id BLOB PRIMARY KEY,
    session_id TEXT NOT NULL,
    window_id TEXT NOT NULL,
    distinct_id TEXT NOT NULL,
    source TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    clicks INTEGER NOT NULL,
    keypresses INTEGER NOT NULL,
    console_errors INTEGER NOT NULL,
    start_url TEXT,
    items BLOB NOT NULL
);
CREATE INDEX recording_pieces_by_session ON recording_pieces (session_id, first_ms);
CREATE INDEX recording_pieces_by_distinct_id ON recording_pieces (distinct_id);
""",
    # Events of a name are read in the order of arrival, which every index ends with.
    """
DROP INDEX events_by_name;
CREATE INDEX events_by_name ON events (event);
CREATE INDEX persons_by_age ON persons (created_at_us);
""",
    # The epoch changes with every reset: numbers of another epoch are other events.
    """
CREATE TABLE meta (epoch TEXT NOT NULL, making_room INTEGER NOT NULL DEFAULT 0);
INSERT INTO meta (epoch) VALUES (hex(randomblob(16)));
CREATE INDEX issue_events_by_seq ON issue_events (seq);
""",
    # A person and a link get a new, higher version with each change: what a copy has not seen yet.
    """
ALTER TABLE persons ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE person_distinct_ids ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
CREATE INDEX persons_by_version ON persons (version);
CREATE INDEX person_distinct_ids_by_version ON person_distinct_ids (version);
""",
    """
ALTER TABLE warnings ADD COLUMN payload TEXT;
ALTER TABLE flags ADD COLUMN created_at_us INTEGER NOT NULL DEFAULT 0;
UPDATE flags SET created_at_us = updated_at_us;
""",
    """
CREATE TABLE charts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
);
""",
    # Until here a recording's age was what the browser's clock said.
    """
ALTER TABLE recording_pieces ADD COLUMN received_us INTEGER NOT NULL DEFAULT 0;
UPDATE recording_pieces SET received_us = last_ms * 1000;
""",
    # What a group did is listed, and a copy asks for groups that changed. Few events have a group.
    """
ALTER TABLE groups ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
CREATE INDEX groups_by_version ON groups (version);
CREATE INDEX events_by_group_0 ON events (group_0) WHERE group_0 IS NOT NULL;
CREATE INDEX events_by_group_1 ON events (group_1) WHERE group_1 IS NOT NULL;
CREATE INDEX events_by_group_2 ON events (group_2) WHERE group_2 IS NOT NULL;
CREATE INDEX events_by_group_3 ON events (group_3) WHERE group_3 IS NOT NULL;
CREATE INDEX events_by_group_4 ON events (group_4) WHERE group_4 IS NOT NULL;
CREATE INDEX logs_by_service ON logs (service_name, timestamp_us);
CREATE INDEX logs_by_severity ON logs (severity, timestamp_us);
""",
)
# Written to `user_version`.
FORMAT_VERSION = len(_STEPS)

# What `reset` empties. What people made is apart, because a test may want to keep it.
DATA_TABLES = [
    "events",
    "persons",
    "person_distinct_ids",
    "group_types",
    "groups",
    "flag_hash_keys",
    "warnings",
    "logs",
    "issues",
    "issue_events",
    "trace_events",
    "recording_pieces",
]
FLAG_TABLES = ("flags", "cohorts", "charts")


class UnknownFormat(Exception):
    """The data folder was written by a newer release; nothing in it was changed."""


def prepare(connection: apsw.Connection) -> None:
    """Creates what the file lacks; refuses one of another program or of a newer release."""
    version = connection.pragma("user_version")
    foreign = version == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").get
    if foreign or version > FORMAT_VERSION:
        raise UnknownFormat(
            f"the data is of format {version}, this release reads {FORMAT_VERSION}; "
            "nothing was changed. Use a newer posthog-local or another --data folder"
        )
    for number, step in enumerate(_STEPS[version:], version + 1):
        with connection:
            connection.execute(step)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number)
