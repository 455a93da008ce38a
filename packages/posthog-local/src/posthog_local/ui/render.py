"""Templates become pages.

Owns the Jinja environment and how values look. Every value is escaped: what a caller put into a
property is shown as text, whatever it is. The policy that goes with each page forbids foreign code
besides.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import jinja2
import msgspec
from starlette.responses import HTMLResponse

from posthog_local.ingest.clock import format_time
from posthog_local.ui.conversation import turns
from posthog_local.ui.timeline import Entry

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A recorded page brings its styles with it, and its images if they were recorded too. It runs no
# code and loads nothing from where it was recorded.
REPLAY_POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self';"
    " img-src 'self' data: blob:; font-src data:; frame-src 'self'; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: a browser then hides the origin of our own forms, which the guard asks for.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREVIEW_PROPERTIES = 4
# What stands beside each event anyway, or is no secret worth the room.
_BESIDE = ("distinct_id", "token")
# What says most about the events that SDKs send by themselves.
_TELLING = (
    "$exception_types",
    "$exception_values",
    "$feature_flag",
    "$feature_flag_response",
    "$ai_model",
    "$ai_span_name",
    "$el_text",
    "$web_vitals_LCP_value",
    "$web_vitals_INP_value",
    "$current_url",
)
_PREVIEW_CHARACTERS = 60


class Renderer:
    """Renders templates by name; one for the life of the server."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("posthog_local.ui"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(zone=zone)
        self._environment.filters.update(
            json=_pretty_json,
            clock=_clock,
            moment=format_time,
            preview=_preview,
            pretty=_pretty_text,
            amount=_amount,
            brief=_brief,
            operator=_operator,
            turns=turns,
            when=_when,
            stamp=_stamp,
            position=_position,
            duration=_duration,
            dollars=_dollars,
            latency=_latency,
            groupby_day=_by_day,
        )

    def text(self, template: str, **values: Any) -> str:
        """A template as HTML text."""
        return self._environment.get_template(template).render(**values)

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A template as a whole page."""
        return HTMLResponse(self.text(template, **values), status, headers=HEADERS)


def _pretty_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _pretty_text(text: str) -> str:
    """JSON with its lines, whatever else as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, RecursionError):
        return text


def _amount(value: float) -> str:
    """A number without a trail of zeros."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _brief(value: float) -> str:
    """A number for a chart's edge, which has little room."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{_amount(value / size)}{unit}"
    return _amount(value)


def _operator(name: str) -> str:
    """A filter's operator as one reads it aloud."""
    return _OPERATORS.get(name) or name.replace("_", " ")


_OPERATORS = {
    "exact": "is",
    "icontains": "contains",
    "not_icontains": "does not contain",
    "not_starts_with": "does not start with",
    "not_ends_with": "does not end with",
    "regex": "matches regex",
    "not_regex": "does not match regex",
    "gt": "greater than",
    "gte": "at least",
    "lt": "less than",
    "lte": "at most",
    "not_between": "not between",
    "is_date_before": "before",
    "is_date_after": "after",
}


def _duration(seconds: float) -> str:
    """Seconds in the largest unit that they fill."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _dollars(amount: float | None) -> str:
    """What models cost, to a millionth of a dollar, which is where one call's cost begins.

    >>> _dollars(0.00121), _dollars(None)
    ('$0.001210', 'cost unknown')
    """
    return "cost unknown" if amount is None else f"${amount:.6f}"


def _latency(seconds: float) -> str:
    """How long a call took: most spans take milliseconds, models take seconds.

    >>> _latency(0.00042), _latency(0.0313), _latency(2.654)
    ('0.42 ms', '31 ms', '2.65 s')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{_amount(milliseconds)} ms"


def local_time(time_us: int) -> str:
    """ISO 8601 with microseconds in this machine's zone, which is the reader's too."""
    try:
        moment = (_EPOCH + timedelta(microseconds=time_us)).astimezone()
    except (OverflowError, ValueError, OSError):  # at the ends of the calendar
        return format_time(time_us)
    return moment.isoformat(timespec="microseconds")


def zone() -> str:
    """The name of this machine's time zone."""
    return datetime.now().astimezone().tzname() or "local time"


def _clock(time_us: int) -> str:
    return local_time(time_us)[11:23]


def _when(time_us: int) -> str:
    """The time of day, with the day before it unless that is today."""
    text, today = local_time(time_us), local_time(time.time_ns() // 1000)
    return text[11:23] if text[:10] == today[:10] else f"{text[5:10]} {text[11:16]}"


def _stamp(time_us: int) -> str:
    """Day and time of day, to the second."""
    text = local_time(time_us)
    return f"{text[:10]} {text[11:19]}"


def _position(seconds: float) -> str:
    """A place in a recording: minutes and seconds."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def _by_day(entries: Iterable[Entry]) -> list[tuple[str, list[Entry]]]:
    days = itertools.groupby(entries, lambda entry: local_time(entry.at_us)[:10])
    return [(day, list(of_day)) for day, of_day in days]


def _preview(properties: dict[str, Any]) -> list[tuple[str, str]]:
    """The caller's own properties, or those that tell most, short enough for one line."""
    own = [
        name
        for name, value in properties.items()
        if not name.startswith("$") and name not in _BESIDE and value is not None
    ]
    telling = [name for name in _TELLING if properties.get(name) not in (None, "", [])]
    return [(name, _short(properties[name])) for name in (telling + own)[:_PREVIEW_PROPERTIES]]


def _short(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _PREVIEW_CHARACTERS else text[: _PREVIEW_CHARACTERS - 1] + "…"
