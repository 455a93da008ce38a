"""The function endpoints: `/api/query`, `/api/mutation`, `/api/action` and their relatives.

Owns their bodies and which call each means. Never looks into arguments beyond finding the one
object that they are. One invariant: every answer to a well-formed call is an envelope.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

import msgspec

from pyconvex.http.caller import Callers
from pyconvex.http.envelope import envelope, output_format
from pyconvex.http.exchange import Request, RequestError, Response, json
from pyconvex.identity import Admin, Identity
from pyconvex.identity.session import session_id_in
from pyconvex.runlog.traces import parse_traceparent
from pyconvex.runtime.calls import FunctionCall, FunctionKind, Host, Outcome
from pyconvex.runtime.notation import (
    ArgumentsError,
    PathError,
    canonical_path,
    encode_ts,
    one_object,
)
from pyconvex.values import limits

#: Arguments, and room for the envelope around them: Convex's numbers.
MAX_BODY_BYTES = limits.MAX_ARGUMENT_BYTES + 2000

Body = TypeVar("Body")

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class _CallBody(msgspec.Struct, frozen=True, rename="camel"):
    path: str
    args: msgspec.Raw
    format: str | None = None
    component_path: str | None = None


class _RunBody(msgspec.Struct, frozen=True):
    args: msgspec.Raw
    format: str | None = None


class _BatchBody(msgspec.Struct, frozen=True):
    queries: list[_CallBody]


_call_body = msgspec.json.Decoder(_CallBody)
_run_body = msgspec.json.Decoder(_RunBody)
_batch_body = msgspec.json.Decoder(_BatchBody)


class FunctionRoutes:
    """Runs functions for plain HTTP requests."""

    def __init__(
        self, host: Host, callers: Callers, *, redact: bool, new_request_id: Callable[[], str]
    ) -> None:
        self._host = host
        self._callers = callers
        self._redact = redact
        self._new_request_id = new_request_id

    async def query(self, request: Request) -> Response:
        """`POST /api/query`, and `/api/query_at_ts`: whose timestamp is the newest one here."""
        return await self._call("query", request)

    async def mutation(self, request: Request) -> Response:
        """`POST /api/mutation`."""
        return await self._call("mutation", request)

    async def action(self, request: Request) -> Response:
        """`POST /api/action`."""
        return await self._call("action", request)

    async def query_by_get(self, request: Request) -> Response:
        """`GET /api/query?path=&args=&format=`."""
        identity = await self._callers.of(request)
        path, args = request.query.get("path"), request.query.get("args")
        if path is None or args is None:
            raise RequestError(
                400, "BadQueryArgs", "The query parameters `path` and `args` are needed."
            )
        raw = self._decode(msgspec.json.Decoder(msgspec.Raw), args.encode())
        body = _CallBody(path, raw, request.query.get("format"))
        return await self._run("query", body, identity, request)

    async def function(self, request: Request) -> Response:
        """`POST /api/function`: a function of any kind, for administrators."""
        identity = await self._callers.admin(request)
        return await self._run(None, await self._body(_call_body, request), identity, request)

    async def run(self, request: Request) -> Response:
        """`POST /api/run/{module}/{export}`: a function of any kind by its URL."""
        identity = await self._callers.of(request)
        module, slash, export = request.path.removeprefix("/api/run/").rpartition("/")
        if not (module and slash and export):
            raise RequestError(
                400, "MissingIdentifier", "The URL needs a module and a function: /api/run/a/b/fn."
            )
        named = await self._body(_run_body, request)
        body = _CallBody(f"{module}:{export}", named.args, named.format)
        return await self._run(None, body, identity, request)

    async def query_ts(self, request: Request) -> Response:
        """`POST /api/query_ts`: the newest timestamp."""
        return json({"ts": encode_ts(self._host.durable_ts)})

    async def query_batch(self, request: Request) -> Response:
        """`POST /api/query_batch`: many queries at one timestamp."""
        identity = await self._callers.of(request)
        bodies = (await self._body(_batch_body, request)).queries
        formats = [output_format(body.format) for body in bodies]
        request_id = self._request_id(request)
        calls = [
            self._function_call("query", body, identity, request_id, request.peer)
            for body in bodies
        ]
        outcomes = await self._at_one_timestamp(calls)
        redact = self._redacts_for(identity)
        envelopes = [
            envelope(outcome, request_id, format, redact=redact)
            for outcome, format in zip(outcomes, formats, strict=True)
        ]
        return Response(200, b'{"results":[' + b",".join(envelopes) + b"]}")

    async def _call(self, kind: FunctionKind, request: Request) -> Response:
        identity = await self._callers.of(request)
        return await self._run(kind, await self._body(_call_body, request), identity, request)

    async def _run(
        self, kind: FunctionKind | None, body: _CallBody, identity: Identity, request: Request
    ) -> Response:
        """Run what the body names; with no kind given, as what it is."""
        format = output_format(body.format)
        request_id = self._request_id(request)
        call = self._function_call(kind or "query", body, identity, request_id, request.peer)
        if kind is None:
            # A function that is not there stays a query, and the host says that it is not there.
            found = self._host.kind_of(call.component, call.path, public_only=call.public_only)
            call = msgspec.structs.replace(call, kind=found or "query")
        if header := self._host.session_header:
            session = session_id_in(request.header(header.encode("ascii")))
            call = msgspec.structs.replace(call, session_id=session)
        if given := request.header(b"traceparent"):
            call = msgspec.structs.replace(call, trace=parse_traceparent(given))
        outcome = await self._outcome(call)
        redact = self._redacts_for(identity)
        return Response(200, envelope(outcome, request_id, format, redact=redact))

    async def _outcome(self, call: FunctionCall) -> Outcome:
        if call.kind == "query":
            return await self._host.run_query(call)
        if call.kind == "mutation":
            return await self._host.run_mutation(call)
        return await self._host.run_action(call)

    async def _at_one_timestamp(self, calls: list[FunctionCall]) -> list[Outcome]:
        queries = self._host.queries
        watches = [queries.watch(call, None, lambda: None) for call in calls]
        try:
            settled = await queries.settle(watches, 0)
        finally:
            for watch in watches:
                watch.close()
        return [result.outcome for result in settled.results]

    def _function_call(
        self,
        kind: FunctionKind,
        body: _CallBody,
        identity: Identity,
        request_id: str,
        client: str,
    ) -> FunctionCall:
        try:
            return FunctionCall(
                kind=kind,
                path=canonical_path(body.path),
                args=one_object(bytes(body.args)),
                identity=identity,
                request_id=request_id,
                origin="httpApi",
                component=body.component_path or "",
                public_only=not isinstance(identity, Admin),
                client=client,
            )
        except PathError as error:
            raise RequestError(400, "BadConvexFunctionIdentifier", str(error)) from None
        except ArgumentsError as error:
            raise RequestError(400, "BadJsonBody", str(error)) from None

    def _redacts_for(self, identity: Identity) -> bool:
        """Administrators read the logs anyway."""
        return self._redact and not isinstance(identity, Admin)

    def _request_id(self, request: Request) -> str:
        given = request.header(b"convex-request-id")
        if given is not None and _REQUEST_ID.match(given):
            return given
        return self._new_request_id()

    async def _body(self, decoder: msgspec.json.Decoder[Body], request: Request) -> Body:
        content_type = request.header(b"content-type") or ""
        if "json" not in content_type.lower():
            _bad_json("the Content-Type must be application/json")
        return self._decode(decoder, await request.body(MAX_BODY_BYTES))

    def _decode(self, decoder: msgspec.json.Decoder[Body], encoded: bytes) -> Body:
        try:
            # The decoder passes over raw parts without looking at their encoding.
            return decoder.decode(str(encoded, "utf-8"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _bad_json(str(error))


def _bad_json(why: str) -> NoReturn:
    raise RequestError(400, "BadJsonBody", f"Could not read the body as a call: {why}.")
