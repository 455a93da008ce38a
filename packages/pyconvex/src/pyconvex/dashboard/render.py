"""Templates become pages.

Owns the Jinja environment, how values look, and the headers that go with every page. Never decides
what is shown. One invariant: every value is escaped, and the policy beside forbids code and
addresses that are not the dashboard's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jinja2
import msgspec
from starlette.responses import HTMLResponse

from pyconvex.dashboard.door import FORM_TOKEN, ROOT, Visit

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: a browser then hides the origin of our own forms, which the door asks for.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Section(msgspec.Struct, frozen=True):
    """An entry of the navigation."""

    name: str
    path: str
    label: str


class Renderer:
    """Renders templates by name, for one deployment."""

    def __init__(self, *, deployment: str, sections: Sequence[Section]) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("pyconvex.dashboard"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            root=ROOT, deployment=deployment, sections=sections, form_token_field=FORM_TOKEN
        )
        self._environment.filters.update(clock=_clock, moment=_moment, amount=_amount, span=_span)

    def text(self, template: str, **values: Any) -> str:
        """A template as HTML text."""
        return self._environment.get_template(template).render(**values)

    def page(
        self, template: str, visit: Visit, section: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page for who is signed in."""
        token = visit.session.form_token
        text = self.text(template, section=section, form_token=token, **values)
        return HTMLResponse(text, status, headers=HEADERS)

    def plain(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page without navigation, for everybody."""
        return HTMLResponse(self.text(template, **values), status, headers=HEADERS)


def _clock(ts_ms: float) -> str:
    return f"{_at(ts_ms):%H:%M:%S}.{int(ts_ms % 1000):03d}"


def _moment(ts_ms: float) -> str:
    return f"{_at(ts_ms):%Y-%m-%dT%H:%M:%SZ}"


def _amount(value: float) -> str:
    """A number without a trail of zeros."""
    return f"{value:,.1f}".rstrip("0").rstrip(".")


def _span(seconds: float) -> str:
    """Seconds in the largest unit that they fill."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _at(ts_ms: float) -> datetime:
    return datetime.fromtimestamp(ts_ms / 1000, UTC)
