"""What a receiver's answer means for the rows that were sent.

Owns the four verdicts and the reading of HTTP statuses. Never acts on them: `drain` does. One
invariant: rows are given up only when the receiver says that it will never take these bytes; every
other answer keeps them.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec

from pyconvex.delivery.transport import Response

#: A receiver may ask for a pause, not for a day: longer values are cut to this.
LONGEST_RETRY_AFTER_S = 900.0
#: Pause when a person has to change something first (credentials, address, quota).
ATTENTION_PAUSE_S = 60.0


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """The receiver has the rows; they may leave the queue.

    Some receivers say that they took all but so many, and why, or say something about those that
    they took. Which ones they are is not told, so nothing is sent again.
    """

    rejected: int = 0
    reason: str = ""


class Retry(msgspec.Struct, frozen=True, tag=True):
    """Not now: keep the rows, send the same bytes again, not before `after_s` when it is given."""

    reason: str
    after_s: float | None = None


class TooLarge(msgspec.Struct, frozen=True, tag=True):
    """The request is too big: send it in halves."""

    reason: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The receiver will never take these bytes: find the row that is the cause."""

    reason: str


Verdict = Accepted | Retry | TooLarge | Refused


def classify(response: Response) -> Verdict:
    """Read an answer as most HTTP receivers mean it.

    2xx is accepted, 400 and 422 refused, 413 too large. Everything else keeps the rows: 408, 429
    and 5xx because they pass, the rest because a person must change something first.

    >>> classify(Response(503, {"retry-after": "7"}, b"busy"))
    Retry(reason='503: busy', after_s=7.0)
    """
    reason = f"{response.status}: {response.excerpt()}".removesuffix(": ")
    match response.status:
        case status if 200 <= status < 300:
            return Accepted()
        case 400 | 422:
            return Refused(reason)
        case 413:
            return TooLarge(reason)
        case 408 | 425 | 429:
            return Retry(reason, retry_after_s(response))
        case status if 300 <= status < 400 and "location" in response.headers:
            leads_to = response.headers["location"][:200]
            said = f"{status}: it leads to {leads_to}, and redirects are not followed"
            return Retry(said, ATTENTION_PAUSE_S)
        case status if status >= 500:
            return Retry(reason, retry_after_s(response))
        case _:
            return Retry(reason, retry_after_s(response) or ATTENTION_PAUSE_S)


def retry_after_s(response: Response) -> float | None:
    """Seconds of `Retry-After`: a number, or a date, which is measured from the answer's Date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    until, since = _date(text), _date(response.headers.get("date", ""))
    if until is None or since is None:
        return None
    return min(max((until - since).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def _date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    # "-0000" parses as naive; a naive and an aware date can't be subtracted.
    return parsed if parsed.tzinfo is not None else None
