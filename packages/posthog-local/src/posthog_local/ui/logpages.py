"""The page of log lines.

Owns its filters, and what comes after the last line that is shown.
"""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.store.shelves.logs import LogFilter, StoredLog
from posthog_local.store.views import View
from posthog_local.ui.forms import whole_number
from posthog_local.ui.section import Section

_LIST_ROWS = 200
_FIELDS = ("search", "severity", "service_name", "trace_id", "distinct_id")


class LogPages:
    """Handlers over the store."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def routes(self) -> list[Route]:
        """Every page."""
        shown = self._section.shown
        return [
            Route("/logs", shown(self.logs)),
        ]

    def logs(self, view: View, request: Request) -> Response:
        wanted = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
        before = whole_number(request, "before_us"), whole_number(request, "before_seq")
        asked = msgspec.structs.replace(LogFilter.of(wanted), beyond=before if before[0] else None)
        found = view.logs.latest(asked, _LIST_ROWS + 1)
        return self._section.page(
            "logs.html",
            logs=found[:_LIST_ROWS],
            older=_after(wanted, found[_LIST_ROWS - 1]) if len(found) > _LIST_ROWS else None,
            first=not before[0],
            wanted=wanted,
            severities=("trace", "debug", "info", "warn", "error", "fatal"),
            services=view.logs.service_names(),
        )


def _after(wanted: dict[str, str], last: StoredLog) -> str:
    """The address of what comes after the last line that is shown."""
    place = {"before_us": last.record.timestamp_us, "before_seq": last.seq}
    return "/logs?" + urlencode({**{k: v for k, v in wanted.items() if v}, **place})
