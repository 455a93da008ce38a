"""Calling functions as somebody: the part of the kit that tests use most.

Owns the typed ways in. Never checks anything itself: the engine checks arguments and results as in
production. One invariant: a caller never changes; `with_identity` and `component` make another.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from pyconvex.auth.deployment import user_to_act_as
from pyconvex.functions import (
    FunctionReference,
    HeaderFields,
    Headers,
    ModuleReference,
    MutationCtx,
)
from pyconvex.functions.auth_config import TEST_ISSUER
from pyconvex.functions.registration import (
    ActionFunction,
    FunctionKind,
    MutationFunction,
    QueryFunction,
    RegisteredFunction,
)
from pyconvex.identity import ANONYMOUS, Identity
from pyconvex.runtime.calls import Failure, FunctionCall, Outcome
from pyconvex.runtime.http_actions.http_exchange import HttpCall
from pyconvex.testing.engine import Engine
from pyconvex.testing.fetch import TEST_SITE_URL, Fetched, KitExchange, encode_json, not_found, sent
from pyconvex.testing.subscription import PATIENCE_S, Subscription
from pyconvex.testing.targets import Resolved, Target, resolve
from pyconvex.values import UNSET, Value, codec

P = ParamSpec("P")
R = TypeVar("R")
#: A function by path or by reference; its types are not known, so results are `Any`.
Named: TypeAlias = str | FunctionReference | ModuleReference

_numbers = itertools.count(1)


class Deployed(Protocol):
    """What callers of one deployment share."""

    @property
    def engine(self) -> Engine:
        """The engine; raises when the deployment is not running."""

    def under_way(self, path: str, work: Awaitable[Outcome]) -> Awaitable[Outcome]:
        """Await a call so that `drain` knows of it."""

    def keep(self, subscription: Subscription[Any]) -> None:
        """End this subscription with the deployment."""


class Caller:
    """Calls functions of one component as one identity.

    A function is given by its path (`"users:get"`), by reference (`api.users.get`,
    `components.posthog.flags.evaluate`) or as the decorated function itself, which types the
    result. Arguments are given by name; by path and by reference in one dictionary as well.
    Internal functions can be called too.

    A `ConvexError` that the function raises is raised here, in its author's own class; everything
    else comes as `FunctionFailed` with the exception as `__cause__`. A mutation that is out of
    retries raises `HostError`.
    """

    def __init__(self, deployed: Deployed, identity: Identity, component: str) -> None:
        self._deployed = deployed
        self._identity = identity
        self._component = component

    def with_identity(
        self, *, subject: str | None = None, issuer: str = TEST_ISSUER, **attributes: Value
    ) -> Caller:
        """A caller with this identity; functions get the attributes as they are given.

        Without a subject, equal attributes make the same person.
        """
        if subject is None:
            subject = hashlib.sha256(codec.encode(attributes)).hexdigest()[:16]
        described = codec.encode({"subject": subject, "issuer": issuer, **attributes})
        return Caller(self._deployed, user_to_act_as(described), self._component)

    def component(self, path: str) -> Caller:
        """A caller of a mounted component's own functions, such as `t.component("posthog")`."""
        return Caller(self._deployed, self._identity, path)

    @overload
    async def query(
        self, function: QueryFunction[P, R], /, *args: P.args, **named: P.kwargs
    ) -> R: ...
    @overload
    async def query(
        self, function: Named, arguments: Mapping[str, Any] | None = None, /, **named: Any
    ) -> Any: ...
    async def query(self, function: Any, /, *args: Any, **named: Any) -> Any:
        """Run a query at the newest commit."""
        return await self._call("query", function, args, named)

    @overload
    async def mutation(
        self, function: MutationFunction[P, R], /, *args: P.args, **named: P.kwargs
    ) -> R: ...
    @overload
    async def mutation(
        self, function: Named, arguments: Mapping[str, Any] | None = None, /, **named: Any
    ) -> Any: ...
    async def mutation(self, function: Any, /, *args: Any, **named: Any) -> Any:
        """Run a mutation until it commits; run again on conflict, as in production."""
        return await self._call("mutation", function, args, named)

    @overload
    async def action(
        self, function: ActionFunction[P, R], /, *args: P.args, **named: P.kwargs
    ) -> R: ...
    @overload
    async def action(
        self, function: Named, arguments: Mapping[str, Any] | None = None, /, **named: Any
    ) -> Any: ...
    async def action(self, function: Any, /, *args: Any, **named: Any) -> Any:
        """Run an action to its end, on this event loop."""
        return await self._call("action", function, args, named)

    @overload
    def subscribe(
        self, function: QueryFunction[P, R], /, *args: P.args, **named: P.kwargs
    ) -> Subscription[R]: ...
    @overload
    def subscribe(
        self, function: Named, arguments: Mapping[str, Any] | None = None, /, **named: Any
    ) -> Subscription[Any]: ...
    def subscribe(self, function: Any, /, *args: Any, **named: Any) -> Subscription[Any]:
        """Follow a query; see `Subscription`."""
        engine = self._deployed.engine
        target = self._resolve(function, args, named)

        def decode(outcome: Outcome) -> Any:
            return _result(engine, outcome, target)

        call = self._request("query", target)
        subscription = Subscription(engine, call, decode, PATIENCE_S)
        self._deployed.keep(subscription)
        return subscription

    async def fetch(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: HeaderFields = (),
        body: bytes | str | AsyncIterator[bytes] = b"",
        json: Any = UNSET,
    ) -> Fetched:
        """Send a request to the app's HTTP actions, and give the whole answer.

        `json` is sent as such in place of a body. The caller is this one's identity, unless
        `headers` hold an `Authorization`, which nobody here vouches for. What the handler raises is
        raised here; its client would see it as a 500. Where no route answers, the status is 404.
        """
        sending = [*Headers(headers).pairs()]
        if json is not UNSET:
            body = encode_json(json)
            sending.append(("content-type", "application/json"))
        engine = self._deployed.engine
        route = engine.host.find_route(method, path.partition("?")[0])
        if route is None:
            return not_found(path.partition("?")[0], enabled=engine.host.answers_http)
        credential = "authorization" in Headers(sending)
        call = HttpCall(
            route=route,
            method=method,
            url=TEST_SITE_URL + path,
            headers=sending,
            identity=ANONYMOUS if credential else self._identity,
            refused="No auth provider found matching the given token." if credential else "",
            request_id=f"test{next(_numbers)}",
        )
        exchange = KitExchange(sent(body))
        try:
            running = engine.host.run_http_action(call, exchange)
            outcome = await self._deployed.under_way(route.name, running)
        finally:
            exchange.close()
        if isinstance(outcome, Failure):
            engine.raised.reraise(outcome)
        assert exchange.head is not None, "an action that ended well has answered"
        answer = b"" if method == "HEAD" else b"".join(exchange.pieces)
        return Fetched(exchange.head.status, exchange.head.headers, answer)

    async def run(self, work: Callable[[MutationCtx], Awaitable[R]]) -> R:
        """Run code of the test's own in one transaction, with a mutation's context.

        Its tables are those of the component. It may run several times, as a mutation may. What it
        raises comes out unchanged, and nothing was written then; what it returns can be anything.
        """
        engine = self._deployed.engine
        results: list[R] = []

        async def inline(ctx: MutationCtx) -> None:
            results.append(await work(ctx))

        reference = FunctionReference("_testing", f"run_{next(_numbers)}")
        functions = engine.inline(self._component)
        functions[reference.path] = _registered(inline, reference)
        try:
            target = Resolved(self._component, reference.path, b"{}", None)
            call = self._request("mutation", target)
            outcome = await self._deployed.under_way(call.path, engine.host.run_mutation(call))
        finally:
            del functions[reference.path]
        if isinstance(outcome, Failure):
            raise engine.raised.find(outcome.message) or engine.raised.reraise(outcome)
        return results[-1]

    async def _call(
        self,
        kind: Literal["query", "mutation", "action"],
        function: Target,
        args: tuple[Any, ...],
        named: Mapping[str, Any],
    ) -> Any:
        target = self._resolve(function, args, named)
        call = self._request(kind, target)
        engine = self._deployed.engine
        host = engine.host
        runs: dict[str, Callable[[FunctionCall], Awaitable[Outcome]]] = {
            "query": host.run_query,
            "mutation": host.run_mutation,
            "action": host.run_action,
        }
        outcome = await self._deployed.under_way(call.path, runs[kind](call))
        return _result(engine, outcome, target)

    def _resolve(
        self, function: Target, args: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Resolved:
        return resolve(self._deployed.engine.image, self._component, function, args, named)

    def _request(
        self, kind: Literal["query", "mutation", "action"], target: Resolved
    ) -> FunctionCall:
        return FunctionCall(
            kind=kind,
            path=target.path,
            args=target.arguments,
            identity=self._identity,
            request_id=f"test{next(_numbers)}",
            origin="tester",
            component=target.component,
            public_only=False,
        )


def _result(engine: Engine, outcome: Outcome, target: Resolved) -> Any:
    """What the call returned, in the types that the function declares."""
    if isinstance(outcome, Failure):
        engine.raised.reraise(outcome)
    value: Any = codec.decode(outcome.value)
    returns = target.returns
    if returns is None:
        return value
    return engine.system.read(lambda tx: returns.check(value, tx.namespace(target.component)))


def _registered(
    handler: Callable[[MutationCtx], Awaitable[None]], reference: FunctionReference
) -> RegisteredFunction[..., Any]:
    function: RegisteredFunction[..., Any] = MutationFunction(
        handler, FunctionKind.MUTATION, public=False, name=reference.name, args=None, returns=None
    )
    function.reference = reference
    return function
