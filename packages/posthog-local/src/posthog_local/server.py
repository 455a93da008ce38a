"""The whole server, put together: folder, store, routes, pages, and the loop that serves them.

Owns composition and life cycle, no behaviour. Everything a room needs is passed to it here; rooms
never reach for each other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
from starlette.applications import Starlette

from posthog_local import __version__
from posthog_local.api.routes import api_endpoints
from posthog_local.browser.brought import PLAYER, brought_scripts
from posthog_local.browser.routes import BrowserRoutes
from posthog_local.control.guard import Guard
from posthog_local.control.routes import ControlRoutes
from posthog_local.flags.book import FlagBook
from posthog_local.flags.routes import FlagRoutes
from posthog_local.http import server as http_server
from posthog_local.http.exchange import Request, Response
from posthog_local.http.faults import FaultBook
from posthog_local.http.router import Router
from posthog_local.http.secrets import Secrets
from posthog_local.ingest.routes import capture_endpoints
from posthog_local.ingest.tokens import Tokens
from posthog_local.ingest.warning import Note, body_text
from posthog_local.logs.routes import log_endpoints
from posthog_local.otlp.unkept import unkept_endpoints
from posthog_local.query.analyst import Analyst
from posthog_local.replay.routes import replay_endpoints
from posthog_local.store.folder import Folder, Keys
from posthog_local.store.retention import Limits, believed
from posthog_local.store.store import Store
from posthog_local.traces.routes import trace_endpoints
from posthog_local.ui.pages import Connection, Pages

# The threads that write and render must not hold up the event loop for the default 5 ms at a time.
_SWITCH_INTERVAL_S = 0.0002
_SWEEP_INTERVAL_S = 10.0
_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set from outside; `data` None keeps the data in a temporary folder.

    `posthog_js` None means the scripts that the wheel brought.
    """

    host: str = "127.0.0.1"
    port: int = 8010
    data: Path | None = None
    project_token: str | None = None
    #: Treat other tokens as PostHog treats unknown ones, instead of taking them all.
    strict_token: bool = False
    secret_key: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allow_remote: bool = False
    posthog_js: Path | None = None
    limits: Limits = Limits()
    #: A folder of Parquet files with tables for SQL; it need not be there yet.
    warehouse: Path | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a started server says about itself; also the line of `start --json`."""

    url: str
    project_token: str
    secret_key: str
    personal_api_key: str
    data: str | None
    pid: int
    version: str


def run(settings: Settings, on_ready: Callable[[Started], None]) -> None:
    """Serves until SIGINT or SIGTERM.

    Raises `FolderError`, `UnknownFormat` or `CannotListen` before anything was announced.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    folder = Folder(settings.data)
    try:
        keys = folder.keys(settings.project_token, settings.secret_key)
        listener = http_server.bind(settings.host, settings.port)
        started = _started(settings, folder, keys, listener.getsockname()[1])
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, folder, keys, listener, lambda: on_ready(started)))
    finally:
        folder.close()


async def _serve(
    settings: Settings, folder: Folder, keys: Keys, listener: Any, on_ready: Callable[[], None]
) -> None:
    store = Store(folder)
    faults = FaultBook()

    def stopping() -> None:
        store.changes.close()
        faults.remove()

    analyst = Analyst(store, folder.path, settings.warehouse)
    background = [
        asyncio.create_task(_sweep(store, settings.limits)),
        asyncio.create_task(_follow(analyst)),
    ]
    try:
        app = build_app(settings, store, analyst, faults, keys)
        await http_server.serve(app, listener, on_ready=on_ready, on_stopping=stopping)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await analyst.close()
        await store.close()


async def _follow(analyst: Analyst) -> None:
    try:
        await analyst.follow()
    except Exception:
        # Each question catches up by itself, and says what is wrong.
        _log.exception("the copy for SQL no longer follows by itself")


async def _sweep(store: Store, limits: Limits) -> None:
    """Looks after the limits for as long as the server lives."""
    if limits == Limits():
        return
    began = _clock_offset_s()
    while True:
        holding = believed(limits, _clock_offset_s() - began)
        try:
            await store.sweep(holding, time.time_ns() // 1000)
        except apsw.Error:
            _log.exception("what is beyond the limits could not be dropped; all of it is kept")
        await asyncio.sleep(_SWEEP_INTERVAL_S)


def _clock_offset_s() -> float:
    """How far the clock is from a time that nobody sets and that goes on in sleep."""
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def build_app(
    settings: Settings, store: Store, analyst: Analyst, faults: FaultBook, keys: Keys
) -> Router:
    """The ASGI application over an open store."""
    scripts = settings.posthog_js or brought_scripts()
    connection = Connection(
        project_token=keys.project_token,
        secret_key=keys.secret_key,
        personal_api_key=keys.personal_api_key,
        strict_token=settings.strict_token,
        data=None if settings.data is None else str(settings.data.resolve()),
        player=scripts is not None and (scripts / PLAYER).is_file(),
    )
    pages = Pages(store, analyst, connection)
    local = Starlette(routes=[*ControlRoutes(store, faults).routes(), *pages.routes()])
    guarded = Guard(
        local,
        allowed_hosts=frozenset((settings.host, *settings.allowed_hosts)),
        allow_remote=settings.allow_remote,
    )
    tokens = Tokens(keys.project_token if settings.strict_token else None, store.add_notes)
    secrets = Secrets((keys.secret_key, keys.personal_api_key))
    flag_routes = FlagRoutes(_Facts(store), secrets, tokens)
    endpoints = [
        *capture_endpoints(store.add_events, tokens),
        *log_endpoints(store.add_logs, tokens),
        *trace_endpoints(store.add_events, tokens),
        *unkept_endpoints(store.add_notes, tokens),
        *replay_endpoints(store.add_recording, tokens),
        *BrowserRoutes(scripts, lambda: bool(store.flags.flags)).endpoints(),
        *flag_routes.endpoints(),
        *api_endpoints(store, analyst, secrets, keys.project_token),
    ]
    return Router(endpoints, guarded, faults, _Refusals(store).note)


class _Refusals:
    """Keeps what was refused as ingestion warnings; losing one is better than another answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(self, request: Request, response: Response) -> None:
        note = Note(
            kind="request_refused",
            at_us=time.time_ns() // 1000,
            details={
                "status": response.status,
                "path": request.path,
                "reason": _reason(response.body),
            },
            payload=body_text(request.body),
        )
        try:
            await self._store.add_notes([note])
        except Exception:
            _log.exception("a refused request could not be noted")


class _Facts:
    """The store as flag evaluation asks it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.person_properties = store.reader.person_properties
        self.group_types = store.reader.group_types
        self.group_properties = store.reader.group_properties
        self.hash_keys = store.hash_keys
        self.keep_hash_keys = store.keep_hash_keys

    @property
    def flags(self) -> FlagBook:
        return self._store.flags


def _reason(body: bytes) -> str:
    """The sentence of a refusal, in whichever shape the route answers."""
    try:
        error = msgspec.json.decode(body, type=dict[str, str | None])
    except msgspec.MsgspecError:
        return body.decode("utf-8", "replace")
    places = ("detail", "error_description", "error")
    return next((text for name in places if (text := error.get(name))), "")


def _started(settings: Settings, folder: Folder, keys: Keys, port: int) -> Started:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return Started(
        url=f"http://{host}:{port}",
        project_token=keys.project_token,
        secret_key=keys.secret_key,
        personal_api_key=keys.personal_api_key,
        data=None if folder.temporary else str(folder.path.resolve()),
        pid=os.getpid(),
        version=__version__,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
