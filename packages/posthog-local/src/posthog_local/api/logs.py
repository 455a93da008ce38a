"""Logs through PostHog's API.

Owns the query that PostHog's logs page sends and the shape of a line there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from posthog_local.api.door import ApiError, Door, body_of
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time, parse_time_us
from posthog_local.store.shelves.logs import LogFilter, StoredLog
from posthog_local.store.store import Store

_MAX_LINES = 1000


class _Dates(msgspec.Struct, frozen=True):
    date_from: str | None = None
    date_to: str | None = None


class _Query(msgspec.Struct, frozen=True):
    date_range: _Dates = msgspec.field(name="dateRange", default=_Dates())
    severities: tuple[str, ...] = msgspec.field(name="severityLevels", default=())
    service_names: tuple[str, ...] = msgspec.field(name="serviceNames", default=())
    search: str | None = msgspec.field(name="searchTerm", default=None)
    limit: int = 100
    offset: int = 0


class _Asked(msgspec.Struct, frozen=True):
    query: _Query = _Query()


class LogApi:
    """Handlers over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        yield door.of_project("/logs/query", POST=self.query)

    async def query(self, request: Request) -> Response:
        """Lines that match, the latest first."""
        asked = body_of(request, _Asked).query
        if not (0 < asked.limit <= _MAX_LINES and 0 <= asked.offset < 1_000_000):
            raise ApiError(400, "invalid_input", f"limit is at most {_MAX_LINES}", "limit")
        wanted = LogFilter(
            severities=asked.severities,
            service_names=asked.service_names,
            search=asked.search or None,
            after_us=_time(asked.date_range.date_from),
            before_us=_time(asked.date_range.date_to),
        )
        count = asked.limit + asked.offset + 1
        found = await self._store.read(lambda view: view.logs.latest(wanted, count))
        lines = found[asked.offset : asked.offset + asked.limit]
        more = len(found) > asked.offset + asked.limit
        return json_response({"results": [_shown(one) for one in lines], "hasMore": more})


def _time(text: str | None) -> int | None:
    return None if text is None else parse_time_us(text)


def _shown(line: StoredLog) -> dict[str, Any]:
    record = line.record
    return {
        "uuid": str(line.seq),
        "timestamp": format_time(record.timestamp_us),
        "observed_timestamp": format_time(record.observed_us),
        "body": record.body,
        "severity_text": record.severity,
        "severity_number": record.severity_number,
        "level": record.severity,
        "service_name": record.service_name,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "event_name": record.event_name,
        "attributes": record.attributes,
        "resource_attributes": record.resource_attributes,
        "instrumentation_scope": record.scope,
        "distinct_id": record.distinct_id,
        "session_id": record.session_id,
    }
