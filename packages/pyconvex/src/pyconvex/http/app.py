"""The ASGI application of a deployment.

Owns the table of routes and what happens around every request: CORS, errors, the way to the sync
endpoint. Never has middleware: one call decides and answers. One invariant: every response, also of
a failure, can be read by a page of any origin; the dashboard's, which are not made here, by none.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from pyconvex.export import ActiveSyncs, Exporter
from pyconvex.http.caller import Callers
from pyconvex.http.data_sync import DataSyncRoutes
from pyconvex.http.deployment import DeploymentRoutes
from pyconvex.http.exchange import Gone, Request, RequestError, Response, refusal, text
from pyconvex.http.function_logs import FunctionLogRoutes
from pyconvex.http.functions import FunctionRoutes
from pyconvex.http.log_streams import LogStreamOperations, LogStreamRoutes
from pyconvex.http.operations import OperationRoutes, Operator
from pyconvex.http.queues import QueueOperations, QueueRoutes
from pyconvex.http.sandbox import sandboxed
from pyconvex.http.site import below_site
from pyconvex.http.streaming_export import StreamingExportRoutes
from pyconvex.identity import AuthenticationError, Authenticator
from pyconvex.runlog.recent import RecentRuns
from pyconvex.runtime.calls import Environment, Host, HostError
from pyconvex.storage import StorageFailure

_SLASHES = re.compile(r"//+")
#: npm clients put their version into the path; Rust, Python and independent ones don't.
_SYNC = re.compile(r"/api/(?:[^/]+/)?sync\Z")
_UPLOADS = (
    "This deployment runs functions in Python, and the npm CLI uploads TypeScript. `pyconvex dev` "
    "deploys while you develop, `pyconvex deploy` otherwise, `pyconvex codegen` writes the types."
)
_MOVES = (
    "This deployment doesn't move data through the npm CLI: `pyconvex backup` copies all of it "
    "into one file and `pyconvex restore` brings it back; single documents go through a mutation."
)
#: What the official CLI asks and is not served, by how the path begins, and what to do instead.
_INSTEAD = (
    ("/api/deploy2/", _UPLOADS),
    ("/api/get_config", _UPLOADS),
    ("/api/push_config", _UPLOADS),
    ("/api/v1/get_canonical_urls", _UPLOADS),
    (
        "/api/run_test_function",
        "This deployment runs functions in Python and can't run a query written in JavaScript: put "
        "it into the functions folder, and call it with `npx convex run` or `pyconvex run`.",
    ),
    ("/api/export/", _MOVES),
    ("/api/import/", _MOVES),
    ("/api/perform_import", _MOVES),
    (
        "/api/storage/",
        "This deployment keeps no files: keep them in a store of your own, and their address in a "
        "document.",
    ),
)
#: Where HTTP actions answer on the port of the API.
_SITE = re.compile(r"/http(?:/|\Z)")
#: Where the dashboard answers; it shows nothing to pages of other origins.
_DASHBOARD = re.compile(r"/dashboard(?:/|\Z)")

Endpoint = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger(__name__)


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What the edges need to know of a deployment; with `redact`, clients see no error texts."""

    name: str
    version: str
    redact: bool = False


class Exports(msgspec.Struct, frozen=True, kw_only=True):
    """What makes data leave: `exporter` makes pages, `surveyor` tells what tables look like."""

    exporter: Exporter
    surveyor: Exporter
    active: ActiveSyncs


def create_app(
    host: Host,
    *,
    authenticator: Authenticator,
    environment: Environment,
    sync: ASGIApp,
    site: ASGIApp | None = None,
    dashboard: ASGIApp | None = None,
    deployment: Deployment,
    operator: Operator | None = None,
    recent: RecentRuns | None = None,
    exports: Exports | None = None,
    log_streams: LogStreamOperations | None = None,
    queues: QueueOperations | None = None,
    new_request_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> ASGIApp:
    """The application that official clients and tools talk to; serve it at the root of an origin.

    `sync` gets the WebSockets, `site`, if it is given, what is below `/http`, `dashboard` what is
    below `/dashboard`, `operator` the deploys, `log_streams` and `queues` what is asked of those,
    `recent` is what `npx convex logs` follows, and `exports` makes data leave. Nothing is started
    or stopped here: the host lives longer.
    """
    callers = Callers(authenticator)
    functions = FunctionRoutes(
        host, callers, redact=deployment.redact, new_request_id=new_request_id
    )
    tools = DeploymentRoutes(callers, environment, name=deployment.name, version=deployment.version)
    routes = _routes(functions, tools)
    if operator is not None:
        operations = OperationRoutes(callers, operator)
        routes["/api/pyconvex/deploy"] = {"POST": operations.deploy}
        routes["/api/delete_tables"] = {"POST": operations.delete_tables}
        routes["/api/pyconvex/status"] = {"GET": operations.status}
        routes["/api/pyconvex/sign_in_link"] = {"POST": operations.sign_in_link}
    if recent is not None:
        logs: dict[str, Endpoint] = {"GET": FunctionLogRoutes(callers, recent).stream}
        routes["/api/stream_function_logs"] = routes["/api/stream_udf_execution"] = logs
        routes["/api/app_metrics/stream_function_logs"] = logs
        routes["/api/app_metrics/stream_udf_execution"] = logs
    if exports is not None:
        routes |= _export_routes(callers, exports)
    if log_streams is not None:
        routes |= LogStreamRoutes(callers, log_streams).routes()
    if queues is not None:
        routes |= QueueRoutes(callers, queues).routes()
    return _Application(routes, functions.run, sync, site, dashboard)


def _export_routes(callers: Callers, exports: Exports) -> dict[str, dict[str, Endpoint]]:
    syncs = DataSyncRoutes(callers, exports.exporter, exports.active)
    older = StreamingExportRoutes(callers, exports.exporter, exports.surveyor)
    snapshot, deltas = older.list_snapshot, older.document_deltas
    return {
        "/api/v1/data/sync": {"POST": syncs.sync},
        "/api/v1/data/sync/{id}": {"GET": syncs.one_active},
        "/api/v1/data/list_active_syncs": {"GET": syncs.list_active},
        "/api/list_snapshot": {"GET": snapshot, "POST": snapshot},
        "/api/document_deltas": {"GET": deltas, "POST": deltas},
        "/api/data_sync_cursor_from_deltas": {"POST": older.cursor_from_deltas},
        "/api/json_schemas": {"GET": older.json_schemas},
        "/api/get_table_column_names": {"GET": older.column_names},
        "/api/test_streaming_export_connection": {"GET": older.test_connection},
    }


def _routes(functions: FunctionRoutes, tools: DeploymentRoutes) -> dict[str, dict[str, Endpoint]]:
    return {
        "/api/query": {"POST": functions.query, "GET": functions.query_by_get},
        "/api/mutation": {"POST": functions.mutation},
        "/api/action": {"POST": functions.action},
        "/api/function": {"POST": functions.function},
        "/api/query_batch": {"POST": functions.query_batch},
        "/api/query_ts": {"POST": functions.query_ts},
        "/api/query_at_ts": {"POST": functions.query},
        "/api/check_admin_key": {"GET": tools.check_admin_key},
        "/api/list_environment_variables": {"GET": tools.list_variables},
        "/api/v1/list_environment_variables": {"GET": tools.list_variables},
        "/api/update_environment_variables": {"POST": tools.update_variables},
        "/api/v1/update_environment_variables": {"POST": tools.update_variables},
        "/version": {"GET": tools.version},
        "/instance_version": {"GET": tools.version},
        "/instance_name": {"GET": tools.name},
        "/echo": {"POST": tools.echo},
        "/": {"GET": tools.home},
    }


class _Application:
    def __init__(
        self,
        routes: dict[str, dict[str, Endpoint]],
        run: Endpoint,
        sync: ASGIApp,
        site: ASGIApp | None,
        dashboard: ASGIApp | None,
    ) -> None:
        self._routes = routes
        #: The URLs of requests that `respond` answers, where they come without parameters.
        self.direct_paths = frozenset(path.encode() for path in routes if "{" not in path)
        self._run = run
        self._sync = sync
        self._site = site
        self._dashboard = dashboard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._site is not None and _SITE.match(scope["path"]):
            keep_apart = sandboxed(send) if self._dashboard is not None else send
            await self._site(below_site(scope), receive, keep_apart)
        elif scope["type"] == "http" and self._dashboard and _DASHBOARD.match(scope["path"]):
            await self._dashboard(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await _lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request.of(scope, receive, _SLASHES.sub("/", scope["path"]))
        response = await self.respond(request)
        if response is not None:
            await response.send(request, send)

    async def respond(self, request: Request) -> Response | None:
        """What to answer, whatever happens; None when the client has left."""
        try:
            return await self._answer(request)
        except (RequestError, AuthenticationError, HostError) as error:
            return refusal(error.status, error.code, error.message)
        except StorageFailure as failure:
            _log.error("A request to %s could not be answered. %s", request.path, failure)
            return refusal(503, "StorageFailure", str(failure))
        except Gone:
            return None
        except asyncio.CancelledError:
            # The server stops and has waited long enough; nobody else cancels a request.
            return refusal(
                503,
                "ServerStopping",
                "The server is stopping, and this request had not ended; it may end unseen.",
            )
        except Exception:
            _log.exception("A request to %s could not be answered.", request.path)
            return refusal(
                500,
                "InternalServerError",
                "Your request couldn't be completed. Try again later.",
            )

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return text("")
        methods = self._routes.get(request.path) or self._with_id(request)
        if methods is None:
            if request.path.startswith("/api/run/") and request.method == "POST":
                return await self._run(request)
            return _nothing_here(request.path)
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            allowed = ", ".join(methods)
            refused = refusal(405, "MethodNotAllowed", f"{request.path} answers {allowed} only.")
            return refused._replace(headers=((b"allow", allowed.encode()),))
        return await endpoint(request)

    def _with_id(self, request: Request) -> dict[str, Endpoint] | None:
        """The route of a path that ends with an id."""
        parent, _, id = request.path.rpartition("/")
        methods = self._routes.get(f"{parent}/{{id}}")
        request.id = unquote(id)
        return methods

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _SYNC.match(_SLASHES.sub("/", scope["path"])):
            await self._sync(scope, receive, send)
        else:
            await send({"type": "websocket.close"})


def _nothing_here(path: str) -> Response:
    for begins, what_instead in _INSTEAD:
        if path.startswith(begins):
            return refusal(400, "UnsupportedEndpoint", what_instead)
    if path.startswith("/api/"):
        # Not 404: the official CLI repeats that for tens of seconds.
        return refusal(400, "UnsupportedEndpoint", f"This deployment does not serve {path}.")
    return refusal(404, "NotFound", f"There is nothing at {path}.")


async def _lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
