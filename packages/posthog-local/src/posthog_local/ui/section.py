"""What every page of one section of the navigation needs: how it is read, and its frame.

Owns no page. A page is read and rendered on a thread of the store's, so that a long one delays no
event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from posthog_local.store.store import Store
from posthog_local.store.views import View
from posthog_local.ui.render import Renderer

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Section:
    """One section, by its name in the navigation."""

    def __init__(self, name: str, store: Store, renderer: Renderer) -> None:
        self.store = store
        self.renderer = renderer
        self._name = name

    def shown(self, page: Callable[[View, Request], Response]) -> Handler:
        """A handler that shows what the page makes of one commit."""

        async def handler(request: Request) -> Response:
            return await self.store.read(lambda view: page(view, request))

        return handler

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A template as a page of this section."""
        return self.renderer.page(template, status, section=self._name, **values)
