"""The pages of session replay: the list, and one recording with what happened beside it.

Owns these, and the recorded items as the player asks for them.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.store.views import View
from posthog_local.ui.moments import moments
from posthog_local.ui.render import HEADERS, REPLAY_POLICY
from posthog_local.ui.section import Section

_LIST_ROWS = 200
_SESSION_ROWS = 1000
# What a session caused may come a little after its last snapshot.
_AFTER_SESSION_US = 60_000_000


class ReplayPages:
    """Handlers over the store; `player` says that recordings can be played."""

    def __init__(self, section: Section, player: bool) -> None:
        self._section = section
        self._player = player

    def routes(self) -> list[Route]:
        """Every page."""
        shown = self._section.shown
        return [
            Route("/replay", shown(self.replays)),
            Route("/replay/{session_id}", shown(self.replay)),
            Route("/replay/{session_id}/events.json", shown(self.replay_events)),
        ]

    def replays(self, view: View, request: Request) -> Response:
        found = view.recordings.latest(_LIST_ROWS)
        return self._section.page("replays.html", recordings=found)

    def replay(self, view: View, request: Request) -> Response:
        recording = view.recordings.get(request.path_params["session_id"])
        if recording is None:
            return self._section.page("missing.html", status=404, what="recording")
        windows = view.recordings.windows(recording.session_id)
        asked = request.query_params.get("window")
        window = asked if asked in windows else windows[0]
        items = [item for of, item in view.recordings.events(recording.session_id) if of == window]
        until = recording.last_ms * 1000 + _AFTER_SESSION_US
        page = self._section.page(
            "replay.html",
            recording=recording,
            windows=windows,
            window=window,
            moments=moments(
                recording.session_id,
                items,
                view.events.timeline(recording.distinct_id, _SESSION_ROWS, until),
                view.logs.timeline(recording.distinct_id, _SESSION_ROWS, until),
            ),
            player=self._player,
        )
        page.headers["content-security-policy"] = REPLAY_POLICY
        return page

    def replay_events(self, view: View, request: Request) -> Response:
        events = view.recordings.events(request.path_params["session_id"])
        asked = request.query_params.get("window")
        body = msgspec.json.encode(
            [item for window, item in events if asked is None or window == asked]
        )
        return Response(body, media_type="application/json", headers=HEADERS)
