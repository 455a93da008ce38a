"""What to do about an answer: take it, ask again later, begin anew, or stop with a sentence.

Owns the classes of failures and the pauses between attempts. Never sleeps and draws no dice: time
and randomness come in. Invariant: everything is read again only for the codes that say that the
position is lost, never for a fault of the network.
"""

from __future__ import annotations

import msgspec

from posthog_convex.warehouse.refusal import SyncRefused, gone, refused_by_convex
from posthog_convex.warehouse.source.wire import read_error

ATTEMPTS = 6
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

#: Convex's words for a position that has fallen out of what the deployment keeps.
EXPIRED = frozenset(
    {
        "DataSyncCursorExpired",
        "InvalidWindowToReadDocuments",
        "SnapshotTooOld",
        "InvalidListSnapshotCursor",
    }
)


#: The endpoint, or this form of it, is not there.
_NOT_HERE = frozenset({"BadJsonBody", "BadFormat", "UnsupportedEndpoint"})


class Answer(msgspec.Struct, frozen=True):
    """What came back. `status` 0: nothing did, and `reason` says why."""

    status: int
    body: bytes = b""
    reason: str = ""
    retry_after_s: float | None = None


class Take(msgspec.Struct, frozen=True):
    """The answer is good."""


class Again(msgspec.Struct, frozen=True):
    """The same request again after a pause: reading changes nothing, so it is always safe."""

    pause_s: float


class Expired(msgspec.Struct, frozen=True):
    """The position is lost; everything has to be read again."""

    code: str


class Unknown(msgspec.Struct, frozen=True):
    """The deployment does not have this endpoint, or does not take this form of it."""

    refusal: SyncRefused


class Stop(msgspec.Struct, frozen=True):
    """No repetition helps."""

    refusal: SyncRefused


Verdict = Take | Again | Expired | Unknown | Stop


def verdict(answer: Answer, attempt: int, dice: float, attempts: int = ATTEMPTS) -> Verdict:
    """What to do after attempt number `attempt`, from 1 to `attempts`; `dice` is between 0 and 1.

    >>> verdict(Answer(503), 1, 1.0)
    Again(pause_s=0.5)
    >>> verdict(Answer(400, b'{"code": "DataSyncCursorExpired"}'), 1, 0.0)
    Expired(code='DataSyncCursorExpired')
    """
    if answer.status == 200:
        return Take()
    if answer.status in (0, 408, 425, 429) or answer.status >= 500:
        if attempt >= attempts:
            return Stop(gone(why(answer), attempt))
        return Again(_pause(answer, attempt, dice))
    error = read_error(answer.body)
    if error.code in EXPIRED:
        return Expired(error.code)
    refusal = refused_by_convex(answer.status, error.code, error.message)
    if answer.status in (404, 405) or error.code in _NOT_HERE:
        return Unknown(refusal)
    return Stop(refusal)


def why(answer: Answer) -> str:
    """Why an answer is none that can be taken, in a few words."""
    return answer.reason or f"it says {answer.status}"


def _pause(answer: Answer, attempt: int, dice: float) -> float:
    """Twice as long each time, shortened by up to half so that many clients do not come at once."""
    if answer.retry_after_s is not None:
        return min(answer.retry_after_s, LONGEST_PAUSE_S)
    whole = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)
    return whole * (0.5 + dice / 2)
