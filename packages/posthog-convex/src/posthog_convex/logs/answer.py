"""What a receiver of log records says when it took a request.

Owns reading OTLP's answer, of which most receivers send an empty one. Never decides what follows.
"""

from __future__ import annotations

import msgspec

#: Of what a receiver writes, as much is repeated.
_MAX_REASON = 500


class PartialSuccess(msgspec.Struct, frozen=True, rename="camel"):
    """Records that it dropped, and why; with none of them, a warning about the others."""

    #: OTLP's JSON writes numbers of 64 bits as texts.
    rejected_log_records: int | str = 0
    error_message: str = ""

    @property
    def rejected(self) -> int:
        """The number; 0 for one that is none."""
        try:
            return max(int(self.rejected_log_records), 0)
        except ValueError:
            return 0

    @property
    def reason(self) -> str:
        """The message, as far as it is repeated."""
        return self.error_message[:_MAX_REASON]


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    partial_success: PartialSuccess | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def partial_success(body: bytes) -> PartialSuccess:
    """What the answer to a request that was taken says of it; nothing where it can't be read.

    >>> body = b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"old"}}'
    >>> said = partial_success(body)
    >>> said.rejected, said.reason
    (2, 'old')
    >>> partial_success(b"").rejected
    0
    """
    try:
        return _decode(body).partial_success or PartialSuccess()
    except msgspec.DecodeError:
        return PartialSuccess()
