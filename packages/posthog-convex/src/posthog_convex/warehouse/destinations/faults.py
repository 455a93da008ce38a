"""What goes wrong with files of a destination, as sentences.

Owns the words for faults of disks and of DuckDB. Never mends one. Invariant: nobody is told to move
a file away where making room, or closing a reader, is enough.
"""

from __future__ import annotations

import re
from pathlib import Path

from posthog_convex.warehouse.refusal import SyncRefused

#: How systems and DuckDB say that nothing more can be written.
_FULL = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "max_temp_directory_size",
)
_DENIED = ("Permission denied", "Read-only file system", "Operation not permitted")


def refusal_of(path: Path, error: Exception) -> SyncRefused:
    """The sentence for an error of DuckDB, or of the system, about a file.

    >>> refusal_of(Path("w.duckdb"), OSError(28, "No space left on device")).happened
    'There is no room to write w.duckdb (No space left on device)'
    """
    said = said_by(error)
    if any(sign in said for sign in _FULL):
        return SyncRefused(
            "destination_full",
            f"There is no room to write {path} ({said})",
            "Make room there, then run it again.",
        )
    if "Conflicting lock" in said:
        holder = re.search(r"held in (.+?) \(PID (\d+)\)", said)
        who = f" ({holder[1]}, process {holder[2]})" if holder else ""
        return SyncRefused(
            "destination_busy",
            f"The DuckDB file {path} is open in another process{who}",
            "Close what has it open: a DuckDB file has one writer, and no readers beside it.",
        )
    if "not a valid DuckDB database" in said:
        return SyncRefused(
            "not_a_destination",
            f"{path} is there already, and is no DuckDB file",
            "Give another path in the configuration, or move this file away.",
            kept="It was left as it is",
        )
    if any(sign in said for sign in _DENIED):
        return SyncRefused(
            "destination_denied",
            f"{path} cannot be written: {said}",
            "Let this user write there, or give another path in the configuration.",
        )
    return SyncRefused(
        "destination_unusable",
        f"The DuckDB file {path} cannot be used: {said}",
        "Give another path in the configuration, or move what is there away to begin anew.",
    )


def not_published(where: str, reason: str, kept: str) -> SyncRefused:
    """The sentence for a snapshot that the rows hold and readers do not find yet."""
    to_do = "See to it that it can"
    if "s3://" in where:
        to_do = "Check its name, and the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
        to_do += "AWS_REGION and, for others than Amazon, AWS_ENDPOINT_URL"
    return SyncRefused(
        "not_published",
        f"{where} cannot be written: {reason}",
        f"{to_do}; the next run publishes what is waiting.",
        kept=kept,
    )


def said_by(error: Exception) -> str:
    """The first line of what was said, without an error's class or a page to read."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = next(iter(said.splitlines()), "") or type(error).__name__
    return re.sub(r"^\w+ Error: ", "", line.split(" See also http")[0])
