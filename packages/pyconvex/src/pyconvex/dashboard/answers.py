"""Pages that ask the deployment, and what is shown when it has no answer.

Owns that page. Never asks by itself. One invariant: a question without an answer is a page that
says why, in the section that was asked.
"""

from __future__ import annotations

from starlette.responses import Response

from pyconvex.dashboard.door import Door, Endpoint, Inside, Visit
from pyconvex.dashboard.questions import Unanswered
from pyconvex.dashboard.render import Renderer, Section
from pyconvex.runtime.calls import HostError


class AnswerPages:
    """Makes endpoints of pages whose questions may stay unanswered."""

    def __init__(self, door: Door, renderer: Renderer) -> None:
        self._door = door
        self._renderer = renderer

    def of(self, section: Section, page: Inside) -> Endpoint:
        """The endpoint of a page of a section."""

        async def asked(visit: Visit) -> Response:
            try:
                return await page(visit)
            except Unanswered as none:
                return self._no_answer(visit, section, 404, str(none))
            except HostError as error:
                return self._no_answer(visit, section, error.status, error.message)

        return self._door.inside(asked)

    def _no_answer(self, visit: Visit, section: Section, status: int, why: str) -> Response:
        return self._renderer.page("unanswered.html", visit, section.name, status, why=why)
