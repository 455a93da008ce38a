"""How much one transaction may read and write, and the counters that watch it.

Owns the limits and their texts. Never undoes a count: after a limit was met, every later read or
write meets it again, as in Convex.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pyconvex.database.errors import DatabaseError

#: Documents scanned, filtered ones included. Convex: `TRANSACTION_MAX_READ_SIZE_ROWS`.
MAX_DOCUMENTS_READ: Final = 32_000
#: Bytes of documents scanned. Convex: `TRANSACTION_MAX_READ_SIZE_BYTES`.
MAX_BYTES_READ: Final = 16 * 1024 * 1024
#: Disjoint intervals of the read set. Convex: `TRANSACTION_MAX_READ_SET_INTERVALS`.
MAX_INTERVALS_READ: Final = 4_096
#: Writes, each call counted. Convex: `TRANSACTION_MAX_NUM_USER_WRITES`.
MAX_DOCUMENTS_WRITTEN: Final = 16_000
#: The share of a limit from which on a run is told. Convex: `FUNCTION_LIMIT_WARNING_RATIO`.
WARN_AT: Final = 0.8
#: Tables of all components. Convex documentation: production/state/limits.
MAX_TABLES: Final = 10_000
#: Bytes of documents written. Convex: `TRANSACTION_MAX_USER_WRITE_SIZE_BYTES`.
MAX_BYTES_WRITTEN: Final = 16 * 1024 * 1024

_READ_LESS: Final = (
    "Consider using smaller limits in your queries, paginating your queries, or using indexed "
    "queries with a selective index range expressions."
)


class LimitWarning(NamedTuple):
    """A limit that a run came near to: its name in Convex's words, and what to tell."""

    code: str
    text: str


class Usage:
    """What one transaction has used so far."""

    __slots__ = ("bytes_read", "bytes_written", "documents_read", "documents_written")

    def __init__(self) -> None:
        self.documents_read = 0
        self.bytes_read = 0
        self.documents_written = 0
        self.bytes_written = 0

    def count_read(self, size: int) -> None:
        """Count one document; raises beyond the limits."""
        self.documents_read += 1
        self.bytes_read += size
        if self.documents_read > MAX_DOCUMENTS_READ:
            raise _too_many("TooManyDocumentsRead", "documents read", str(MAX_DOCUMENTS_READ))
        if self.bytes_read > MAX_BYTES_READ:
            raise _too_many("TooManyBytesRead", "bytes read", f"{MAX_BYTES_READ} bytes")

    def fits(self, size: int) -> bool:
        """Whether one more document of this size may be read."""
        return self.documents_read < MAX_DOCUMENTS_READ and self.bytes_read + size <= MAX_BYTES_READ

    def count_write(self, size: int) -> None:
        """Count one write; raises beyond the limits."""
        self.documents_written += 1
        self.bytes_written += size
        if self.documents_written > MAX_DOCUMENTS_WRITTEN:
            raise DatabaseError(
                "TooManyWrites",
                "Too many writes in a single function execution "
                f"(limit: {MAX_DOCUMENTS_WRITTEN}). Split the writes up over several mutations.",
            )
        if self.bytes_written > MAX_BYTES_WRITTEN:
            raise DatabaseError(
                "TooManyBytesWritten",
                "Too many bytes written in a single function execution "
                f"(limit: {MAX_BYTES_WRITTEN} bytes). Split the writes up over several mutations.",
            )

    def warnings(self, intervals: int) -> list[LimitWarning]:
        """What to tell of a run that came near its limits, given the intervals that it read."""
        used = (
            ("DocumentsRead", self.documents_read, MAX_DOCUMENTS_READ, "documents read", ""),
            ("Reads", intervals, MAX_INTERVALS_READ, "reads", ""),
            ("BytesRead", self.bytes_read, MAX_BYTES_READ, "bytes read", " bytes"),
            ("Writes", self.documents_written, MAX_DOCUMENTS_WRITTEN, "writes", ""),
            ("BytesWritten", self.bytes_written, MAX_BYTES_WRITTEN, "bytes written", " bytes"),
        )
        return [
            LimitWarning(
                f"TooMany{name}",
                f"Many {what} in a single function execution "
                f"(actual: {actual}{unit}, limit: {limit}{unit})."
                + (f" {_READ_LESS}" if "Read" in name else ""),
            )
            for name, actual, limit, what, unit in used
            if WARN_AT * limit < actual <= limit
        ]


def check_intervals(count: int) -> None:
    """Raise when a read set has too many intervals."""
    if count > MAX_INTERVALS_READ:
        raise _too_many("TooManyReads", "reads", str(MAX_INTERVALS_READ))


def _too_many(code: str, what: str, limit: str) -> DatabaseError:
    return DatabaseError(
        code, f"Too many {what} in a single function execution (limit: {limit}). {_READ_LESS}"
    )
