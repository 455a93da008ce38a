"""The routes that posthog-js asks besides capture and flags.

Owns paths and answers; scripts come from a folder of posthog-js's, the one that came along or the
caller's. Names of scripts are checked, so nothing else in or beside that folder is served.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from posthog_local.browser.config import config_script, remote_config
from posthog_local.http.exchange import Request, Response, json_response, text_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.shapes import valid_token

_SCRIPT = re.compile(r"[a-z0-9][a-z0-9.-]{0,80}\.js")
_GET = frozenset(["GET"])
# What the browser asks for and this server has none of.
_EMPTY_LISTS = {
    "/api/surveys": "surveys",
    "/api/product_tours": "product_tours",
    "/api/web_experiments": "experiments",
    "/api/early_access_features": "earlyAccessFeatures",
}


class BrowserRoutes:
    """Handlers over the scripts' folder, if there is one; `has_flags` asks the current flags."""

    def __init__(self, scripts: Path | None, has_flags: Callable[[], bool]) -> None:
        self._scripts = scripts
        self._has_flags = has_flags

    def endpoints(self) -> Iterable[Endpoint]:
        """Every route of a browser's start."""
        yield _get("/array/{token}/config", self.config)
        yield _get("/array/{token}/config.js", self.script_config)
        yield _get("/static/{name}", self.script)
        yield _get("/static/{version}/{name}", self.script)
        for path, name in _EMPTY_LISTS.items():
            yield _get(path, _empty_list(name))

    async def config(self, request: Request) -> Response:
        """The configuration as JSON."""
        return json_response(self._config(request), cache_control="no-cache")

    async def script_config(self, request: Request) -> Response:
        """The configuration as a script."""
        config = self._config(request)
        return _script(config_script(config["token"], config))

    async def script(self, request: Request) -> Response:
        """One of posthog-js's scripts."""
        name = request.path_values["name"]
        if self._scripts is None or _SCRIPT.fullmatch(name) is None:
            return text_response(
                404,
                "there is no such script: posthog-js did not come along; see --posthog-js",
            )
        try:
            return _script((self._scripts / name).read_bytes())
        except OSError:
            return text_response(404, "posthog-js has no such script")

    def _config(self, request: Request) -> dict[str, Any]:
        token = valid_token(request.path_values["token"])
        scripts = self._scripts is not None
        return remote_config(token, has_flags=self._has_flags(), has_scripts=scripts)


def _get(path: str, handler: Any) -> Endpoint:
    return Endpoint(paths=(path,), handler=handler, max_body_bytes=0, methods=_GET)


def _empty_list(name: str) -> Any:
    async def empty(request: Request) -> Response:
        return json_response({name: []})

    return empty


def _script(body: bytes) -> Response:
    headers = (("cache-control", "no-cache"), ("x-content-type-options", "nosniff"))
    return Response(body=body, content_type="text/javascript; charset=utf-8", headers=headers)
