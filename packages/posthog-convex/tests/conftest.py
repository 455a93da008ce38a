"""A real deployment of a small app that mounts the component, for the tests of this package.

Owns its start and the ways in that tests need: calls as a person, calls of the component as its
lanes make them, and the rows of its queue. PostHog's address is a closed port, until a test
connects the app with a PostHog Local.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from posthog_local.testing import PostHogLocal
from posthog_local.testing import running as running_local
from pyconvex.identity import ANONYMOUS, User
from pyconvex.runtime.calls import EnvChange, FunctionCall, QueryResult, Success
from pyconvex.server import Server, Settings
from pyconvex.values import codec

PATIENCE_S = 20.0

CONFIG = """
from posthog_convex import posthog_component
from pyconvex import define_app, v

app = define_app(
    env={
        "POSTHOG_PROJECT_TOKEN": v.string(),
        "POSTHOG_HOST": v.optional(v.string()),
        "POSTHOG_PERSONAL_API_KEY": v.optional(v.string()),
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": v.optional(v.string()),
        "POSTHOG_DISABLE_LOCAL_EVALUATION": v.optional(v.string()),
        "POSTHOG_DISABLE_EXCEPTION_AUTOCAPTURE": v.optional(v.string()),
    }
)
app.use(posthog_component, env=app.env)
"""

POSTHOG = """
from posthog_convex import PostHog
from pyconvex import components

posthog = PostHog(components.posthog)


def hook(event):
    if event["event"] == "secret":
        return None
    if event["event"] == "broken":
        raise RuntimeError("no")
    if event["event"] == "torn":
        del event["uuid"]
    event["properties"]["hooked"] = True
    return event


showing = PostHog(components.posthog, capture_exception_code_variables=True)
quiet = PostHog(components.posthog, send_feature_flag_events=False)


class Apart:  # not at the top of the module, so uncaught errors don't pass their hooks
    silent = PostHog(components.posthog, before_send=lambda event: None)
    hooked = PostHog(components.posthog, identify=lambda ctx: "callback", before_send=[hook])
"""

SHOP = """
from typing import Any

import msgspec

from pyconvex import ActionCtx, MutationCtx, QueryCtx, action, internal_mutation, mutation, query

from .posthog import Apart, posthog, quiet, showing


@mutation
async def capture(ctx: MutationCtx, options: Any) -> str:
    return await posthog.capture(ctx, "bought", **options)


@mutation
async def capture_with(ctx: MutationCtx, flags: Any) -> str:
    from posthog_convex import FlagsAndPayloads

    found = FlagsAndPayloads(**flags) if "payloads" in flags else flags
    return await posthog.capture(ctx, "bought", flags=found, properties={"$feature/off": "mine"})


@mutation
async def capture_twice(ctx: MutationCtx) -> list[str]:
    return [await posthog.capture(ctx, "a"), await posthog.capture(ctx, "b")]


@mutation
async def capture_and_fail(ctx: MutationCtx) -> None:
    await posthog.capture(ctx, "never")
    raise RuntimeError("rolled back")


@mutation
async def capture_dollar(ctx: MutationCtx) -> str:
    properties = {"$set": {"plan": "pro"}, "größe": 3.0}
    return await posthog.capture(ctx, "bought", distinct_id="u", properties=properties)


@action
async def capture_in_action(ctx: ActionCtx) -> str:
    return await posthog.capture(ctx, "acted", distinct_id="u")


@mutation
async def identify(ctx: MutationCtx, options: Any) -> str:
    return await posthog.identify(ctx, **options)


@mutation
async def capture_hooked(ctx: MutationCtx, name: str) -> str:
    return await Apart.hooked.capture(ctx, name, distinct_id="explicit")


@query
async def capture_in_query(ctx: QueryCtx) -> str:
    return await posthog.capture(ctx, "never")  # type: ignore[arg-type]


@query
async def identify_in_query(ctx: QueryCtx) -> str:
    return await posthog.identify(ctx)  # type: ignore[arg-type]


@query
async def flag(ctx: QueryCtx, key: str, options: Any = None) -> Any:
    return await posthog.get_feature_flag(ctx, key, **{"default": "default", **(options or {})})


@query
async def enabled(ctx: QueryCtx, key: str) -> Any:
    return await posthog.is_feature_enabled(ctx, key, distinct_id="u")


@mutation
async def flag_in_mutation(ctx: MutationCtx, key: str) -> Any:
    return await posthog.get_feature_flag(ctx, key, distinct_id="u")


@action
async def flag_in_action(ctx: ActionCtx, key: str) -> Any:
    return await posthog.get_feature_flag(ctx, key, distinct_id="u")


async def call(ctx: Any, method: str, arguments: Any, options: Any) -> Any:
    if method == "capture_exception":
        arguments = [ValueError("made")]
    result = await getattr(posthog, method)(ctx, *arguments, **options)
    if isinstance(result, msgspec.Struct):
        derived = {n: getattr(result, n) for n in ("has_verdict", "enabled", "variant")
                   if hasattr(result, n)}
        return {**msgspec.to_builtins(result), **derived}
    return result


@query
async def in_query(ctx: QueryCtx, method: str, arguments: Any, options: Any) -> Any:
    return await call(ctx, method, arguments, options)


@mutation
async def in_mutation(ctx: MutationCtx, method: str, arguments: Any, options: Any) -> Any:
    return await call(ctx, method, arguments, options)


@action
async def in_action(ctx: ActionCtx, method: str, arguments: Any, options: Any) -> Any:
    return await call(ctx, method, arguments, options)


@mutation
async def capture_with_flags(ctx: MutationCtx, wanted: Any) -> str:
    from posthog_convex import SendFeatureFlags

    properties = {} if wanted is True else {"$feature/variant": "mine", "n": 1}
    flags = True if wanted is True else SendFeatureFlags(**wanted)
    return await posthog.capture(
        ctx, "bought", distinct_id="u", properties=properties, send_feature_flags=flags,
        groups={"company": "acme"},
    )


def pay(order: int) -> None:
    api_key = "phx_abcdefghijklmnop"
    raise ValueError(f"declined {order}, {len(api_key)}")


async def report(ctx: Any, client: Any, then: str, options: Any) -> str:
    # then: raise it on, raise another, or go on
    try:
        pay(7)
    except ValueError as error:
        uuid = await client.capture_exception(ctx, error, **options)
        if then == "raise":
            raise
        if then == "another":
            raise RuntimeError("gave up") from error
        return uuid
    raise AssertionError


@query
async def fail_in_query(ctx: QueryCtx, then: str, options: Any) -> str:
    return await report(ctx, posthog, then, options)


@query
async def fail_in_own_query(ctx: QueryCtx, then: str, options: Any) -> str:
    assert ctx.user_id is None or ctx.user_id
    return await report(ctx, posthog, then, options)


@mutation
async def fail_in_mutation(ctx: MutationCtx, then: str, options: Any) -> str:
    await posthog.capture(ctx, "tried", distinct_id="u")
    return await report(ctx, posthog, then, options)


@action
async def fail_in_action(ctx: ActionCtx, then: str, options: Any) -> str:
    return await report(ctx, posthog, then, options)


@mutation
async def fail_hooked(ctx: MutationCtx, then: str, options: Any) -> str:
    return await report(ctx, Apart.silent, then, options)


@mutation
async def fail_shown(ctx: MutationCtx, then: str, options: Any) -> str:
    return await report(ctx, showing, then, options)


@mutation
async def report_what_is_handled(ctx: MutationCtx) -> str:
    try:
        pay(8)
    except ValueError:
        return await posthog.capture_exception(ctx)
    raise AssertionError


@mutation
async def report_nothing(ctx: MutationCtx) -> str:
    return await posthog.capture_exception(ctx)


@mutation
async def report_unraised(ctx: MutationCtx) -> str:
    return await posthog.capture_exception(ctx, LookupError("made"))


@action
async def call_failing(ctx: ActionCtx, path: str) -> None:
    from pyconvex.functions import api

    await ctx.run_mutation(api.shop.fail_in_mutation, {"then": path, "options": {}})


@query
async def plain_failure(ctx: QueryCtx) -> None:
    pay(9)


@query
async def flag_often(ctx: QueryCtx, key: str) -> Any:
    found = [await posthog.get_feature_flag(ctx, key, distinct_id="u") for _ in range(3)]
    return found[0]


@query
async def quiet_flag(ctx: QueryCtx, key: str) -> Any:
    return await quiet.get_feature_flag(ctx, key, distinct_id="u")


@query
async def hooked_flag(ctx: QueryCtx, key: str) -> Any:
    return await Apart.hooked.get_feature_flag(ctx, key)


@mutation
async def expose_by_hand(ctx: MutationCtx, key: str, fail: bool) -> str:
    value = await posthog.get_feature_flag(
        ctx, key, distinct_id="u", send_feature_flag_events=False
    )
    properties = {"$feature_flag": key, "$feature_flag_response": value}
    uuid = await posthog.capture(
        ctx, "$feature_flag_called", distinct_id="u", properties=properties
    )
    if fail:
        raise ValueError("rolled back")
    return uuid


@query
async def evaluation(ctx: QueryCtx, arguments: Any) -> Any:
    from pyconvex import components

    return await ctx.run_query(components.posthog.flags.evaluate, arguments)


@mutation
async def enqueue(ctx: MutationCtx, event: str) -> None:
    from pyconvex import components

    await ctx.run_mutation(components.posthog.lib.capture, {"event": event})
"""

HTTP = """
import json
from typing import Any

from pyconvex import HttpActionCtx, Request, Response, http_router

from .shop import call

http = http_router()


@http.route(path="/call", method="POST")
async def in_http_action(ctx: HttpActionCtx, request: Request) -> Response:
    ask = await request.json()
    found: Any = await call(ctx, ask["method"], ask["arguments"], ask["options"])
    return Response(json.dumps({"found": found}, default=str))
"""


class Failed(Exception):
    """A function raised; the text is what its client would see."""


class Deployed:
    """The running app."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._host = server._deployer._host
        self._lanes = server._lanes._host

    @property
    def url(self) -> str:
        """Where the deployment listens."""
        return self._server.url

    @property
    def admin_key(self) -> str:
        """Opens everything in it."""
        return self._server.admin_key

    async def query(self, path: str, args: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Run a query of the app."""
        return await self._outcome(self._host.run_query(_call("query", path, args, **options)))

    async def mutation(
        self, path: str, args: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Run a mutation of the app."""
        call = _call("mutation", path, args, **options)
        return await self._outcome(self._host.run_mutation(call))

    async def action(self, path: str, args: Mapping[str, Any] | None = None) -> Any:
        """Run an action of the app."""
        return await self._outcome(self._host.run_action(_call("action", path, args)))

    async def http_call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `PostHog` inside an HTTP action."""
        ask = {"method": method, "arguments": list(arguments), "options": options}
        body = json.dumps(ask).encode()
        asked = urllib.request.Request(f"{self.url}/http/call", body)

        def answer() -> Any:
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as response:
                return json.loads(response.read())["found"]

        return await asyncio.to_thread(answer)

    async def fails(self, kind: str, path: str, args: Mapping[str, Any]) -> str:
        """Run a function that fails; returns what its client sees."""
        with pytest.raises(Failed) as caught:
            await getattr(self, kind)(path, args)
        return str(caught.value)

    async def call(self, kind: str, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of `PostHog` inside a function of that kind."""
        user = options.pop("user", None)
        args = {"method": method, "arguments": list(arguments), "options": options}
        runs = {
            "query": self._host.run_query,
            "mutation": self._host.run_mutation,
            "action": self._host.run_action,
        }
        return await self._outcome(runs[kind](_call(kind, f"shop:in_{kind}", args, user=user)))

    async def lane_query(self, path: str, args: Mapping[str, Any] | None = None) -> Any:
        """Run a query of the component, as a lane does."""
        return codec.decode(
            await self._lanes.run("query", "posthog", path, codec.encode(dict(args or {})))
        )

    async def store(self, answer: Mapping[str, Any] | str, etag: str | None = "e", at: float = 1.0):
        """Hand an answer of the definitions endpoint to the component, as its lane does."""
        text = answer if isinstance(answer, str) else json.dumps(answer)
        args = codec.encode({"definitions": text, "etag": etag, "fetchedAt": at})
        return codec.decode(await self._lanes.run("mutation", "posthog", "flags:store", args))

    async def set_env(self, **changes: str | None) -> None:
        """Set or remove variables of the deployment."""
        await self._server._environment.apply([EnvChange(n, v) for n, v in changes.items()])

    async def connect(self, local: PostHogLocal, *, key: bool = True, **more: str) -> None:
        """Let the app speak to a PostHog Local; with a key its lane fetches definitions."""
        await self.set_env(
            POSTHOG_HOST=local.url,
            POSTHOG_PROJECT_TOKEN=local.project_token,
            POSTHOG_PERSONAL_API_KEY=local.personal_api_key if key else None,
            POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS="1",
            **more,
        )

    async def until(self, what: str, check: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Wait for a condition; returns its first true value."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := await check()):
            assert time.monotonic() < deadline, f"waited too long for {what}"
            await asyncio.sleep(0.02)
        return found

    def watch(
        self, path: str, args: Mapping[str, Any]
    ) -> Callable[[], Coroutine[Any, Any, QueryResult]]:
        """A subscription: each call gives the result now, the same object unless it ran again."""
        watch = self._host.queries.watch(_call("query", path, args), None, lambda: None)

        async def settle() -> QueryResult:
            settled = await self._host.queries.settle([watch], self._host.visible_ts)
            return settled.results[0]

        return settle

    @property
    def visible_ts(self) -> int:
        """Moves with every commit that wrote something."""
        return self._host.visible_ts

    def events(self) -> list[dict[str, Any]]:
        """The events in the queue, oldest first."""
        number = self._server._system.read(
            lambda tx: tx.namespace("posthog").queue_number("events")
        )
        assert number is not None
        reader = self._server._store.reader()
        reader.begin()
        try:
            rows = reader.queue_rows(number, limit=1000, up_to_ts=self._host.durable_ts)
        finally:
            reader.end()
            reader.close()
        return [json.loads(str(codec.decode(row.body))) for row in rows]

    async def _outcome(self, running: Coroutine[Any, Any, Any]) -> Any:
        outcome = await running
        if not isinstance(outcome, Success):
            raise Failed(outcome.message)
        self.log = outcome.log_lines
        return codec.decode(outcome.value)


def _call(
    kind: Any, path: str, args: Mapping[str, Any] | None, *, user: str | None = None
) -> FunctionCall:
    who = ANONYMOUS
    if user is not None:
        attributes = {"subject": user, "issuer": "test", "tokenIdentifier": f"test|{user}"}
        who = User(
            token_identifier=f"test|{user}",
            issuer="test",
            subject=user,
            attributes=codec.encode(attributes),
        )
    return FunctionCall(
        kind=kind,
        path=path,
        args=codec.encode(dict(args or {})),
        identity=who,
        request_id="test",
        origin="tester",
    )


@pytest.fixture(scope="session")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's functions folder."""
    folder = tmp_path_factory.mktemp("app") / "convex"
    folder.mkdir()
    for name, text in (
        ("convex_config", CONFIG),
        ("posthog", POSTHOG),
        ("shop", SHOP),
        ("http", HTTP),
    ):
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="session")
def _local() -> Iterator[PostHogLocal]:
    with running_local() as local:
        yield local


@pytest.fixture
def local(_local: PostHogLocal) -> PostHogLocal:
    """A PostHog Local, empty."""
    _local.reset()
    return _local


Scenario = Callable[[Deployed], Any]


@pytest.fixture
def deployed(functions: Path, tmp_path: Path) -> Callable[[Scenario], Any]:
    """Runs a coroutine function with a fresh deployment: `deployed(scenario)`."""
    return lambda scenario: asyncio.run(_deploy(functions, tmp_path, 1, scenario))


@pytest.fixture
def deployed_here(functions: Path, tmp_path: Path) -> Callable[[Scenario], Any]:
    """The same with functions in this one process, for what is remembered by process."""
    return lambda scenario: asyncio.run(_deploy(functions, tmp_path, 0, scenario))


async def _deploy(functions: Path, tmp_path: Path, isolates: int, scenario: Scenario) -> Any:
    settings = Settings(data=tmp_path / "data", port=0, isolates=isolates)
    async with Server(settings) as server:
        app = Deployed(server)
        await app.set_env(POSTHOG_PROJECT_TOKEN="phc_x", POSTHOG_HOST="http://127.0.0.1:1")
        await server.deploy(functions)
        return await scenario(app)
