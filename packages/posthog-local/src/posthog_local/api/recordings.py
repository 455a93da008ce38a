"""Session recordings through PostHog's API.

Owns their list, and their snapshots as lines of JSON: `["window", {rrweb event}]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from posthog_local.api.door import ApiError, Door, bounds, not_found
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time
from posthog_local.store.shelves.recordings import Recording
from posthog_local.store.views import View

_SOURCE = "blob_v2"


class RecordingApi:
    """Handlers over views of the store."""

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        path = "/session_recordings"
        yield door.of_project(path, GET=door.asked(self.recordings))
        yield door.of_project(f"{path}/{{id}}", GET=door.asked(self.recording))
        yield door.of_project(f"{path}/{{id}}/snapshots", GET=door.asked(self.snapshots))

    def recordings(self, view: View, request: Request) -> Response:
        """Recordings, those that ended last first."""
        limit, offset = bounds(request)
        found = view.recordings.latest(limit + offset + 1)
        shown = [_shown(view, one) for one in found[offset : offset + limit]]
        return json_response({"results": shown, "has_next": len(found) > offset + limit})

    def recording(self, view: View, request: Request) -> Response:
        """One recording."""
        return json_response(_shown(view, _found(view, request)))

    def snapshots(self, view: View, request: Request) -> Response:
        """Without a source, where the snapshots are; with one, the snapshots."""
        recording = _found(view, request)
        source = request.query.get("source")
        if source is None:
            times = {
                "start_timestamp": _time(recording.first_ms),
                "end_timestamp": _time(recording.last_ms),
            }
            return json_response({"sources": [{"source": _SOURCE, **times, "blob_key": "0"}]})
        if source != _SOURCE:
            raise ApiError(400, "invalid_input", f"the only source is {_SOURCE}", "source")
        lines = map(msgspec.json.encode, view.recordings.events(recording.session_id))
        return Response(body=b"\n".join(lines), content_type="application/jsonl")


def _found(view: View, request: Request) -> Recording:
    recording = view.recordings.get(request.path_values["id"])
    if recording is None:
        raise not_found()
    return recording


def _shown(view: View, one: Recording) -> dict[str, Any]:
    person = view.events.person(one.distinct_id)
    who = {"distinct_ids": [one.distinct_id], "properties": {}}
    if person is not None:
        who = {"id": person.id, "distinct_ids": list(person.distinct_ids),
               "properties": person.properties}  # fmt: skip
    return {
        "id": one.session_id,
        "distinct_id": one.distinct_id,
        "start_time": _time(one.first_ms),
        "end_time": _time(one.last_ms),
        "recording_duration": (one.last_ms - one.first_ms) / 1000,
        "click_count": one.clicks,
        "keypress_count": one.keypresses,
        "console_error_count": one.console_errors,
        "start_url": one.start_url,
        "snapshot_source": one.source,
        "person": who,
    }


def _time(at_ms: int) -> str:
    return format_time(at_ms * 1000)
