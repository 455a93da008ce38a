"""Streams of both kinds from end to end: functions, run log, lanes, PostHog Local.

The component is mounted as well, so whatever both of them send must be there once.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from posthog_local.testing import PostHogLocal
from pyconvex.runlog.traces import trace_id_of

CONFIG = """
from posthog_convex import posthog_component
from pyconvex import define_app, v

app = define_app(
    env={"POSTHOG_PROJECT_TOKEN": v.string(), "POSTHOG_HOST": v.optional(v.string())}
)
app.use(posthog_component, env=app.env)
"""
TALK = """
from posthog_convex import PostHog
from pyconvex import ConvexError, MutationCtx, QueryCtx, components, mutation, query

posthog = PostHog(components.posthog)


class Apart:  # not at the top of the module, so uncaught errors don't pass this hook
    silent = PostHog(components.posthog, before_send=lambda event: None)


@mutation
async def greet(ctx: MutationCtx) -> None:
    assert ctx.user_id
    ctx.set_session_id("session-1")
    print("first")
    print("second")


@query
async def shared(ctx: QueryCtx) -> int:
    print("of nobody")
    return 1


@query
async def own(ctx: QueryCtx) -> str | None:
    print("of the caller")
    return ctx.user_id


def pay(order: int) -> None:
    raise ValueError(f"declined {order}")


@mutation
async def buy(ctx: MutationCtx) -> None:
    assert ctx.user_id
    print("buying")
    pay(7)


@mutation
async def buy_and_tell(ctx: MutationCtx) -> None:
    try:
        pay(7)
    except ValueError as error:
        await posthog.capture_exception(ctx, error, additional_properties={"order": 7})
        raise


@mutation
async def buy_silently(ctx: MutationCtx) -> None:
    try:
        pay(7)
    except ValueError as error:
        await Apart.silent.capture_exception(ctx, error)
        raise


@mutation
async def sold_out(ctx: MutationCtx) -> None:
    raise ConvexError({"code": "SOLD_OUT"})
"""
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app of this page, instead of the package's."""
    folder = tmp_path_factory.mktemp("talking") / "convex"
    folder.mkdir()
    (folder / "convex_config.py").write_text(CONFIG)
    (folder / "talk.py").write_text(TALK)
    return folder


async def ask(app: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Ask the deployment API."""
    request = urllib.request.Request(f"{app.url}/api/v1/{path}", method=method)
    request.add_header("Authorization", f"Convex {app.admin_key}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")

    def answer() -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return await asyncio.to_thread(answer)


async def state_of(app: Any, id_: str) -> dict[str, Any]:
    async def settled() -> dict[str, Any] | None:
        _, shown = await ask(app, "GET", f"get_log_stream/{id_}")
        found: dict[str, Any] = shown["status"]
        return None if found["type"] == "pending" else found

    found: dict[str, Any] = await app.until("a verified stream", settled)
    return found


async def stream(app: Any, local: PostHogLocal, kind: str, **more: Any) -> str:
    """Set a stream up and wait until it is active."""
    settings = {"logStreamType": kind, "apiKey": local.project_token, "host": local.url + "/"}
    status, made = await ask(app, "POST", "create_log_stream", settings | more)
    assert status == 200, made
    assert (await state_of(app, made["id"]))["type"] == "active"
    return str(made["id"])


async def arrived(app: Any, look: Any) -> Any:
    async def there() -> Any:
        return await asyncio.to_thread(look)

    return await app.until("what was sent", there)


async def settled(app: Any, local: PostHogLocal) -> None:
    """Return once the lines of a later call are there: what came before is, too."""
    await app.mutation("talk:greet", user="marker")
    await arrived(app, lambda: [one for one in local.logs() if one["distinct_id"] == "marker"])


def test_what_functions_print_and_raise_is_linked_joined_and_there_once(
    deployed: Any, local: PostHogLocal
) -> None:
    async def scenario(app: Any) -> None:
        await app.set_env(POSTHOG_HOST=local.url, POSTHOG_PROJECT_TOKEN=local.project_token)
        await stream(app, local, "postHogLogs")
        await stream(app, local, "postHogErrorTracking")
        await app.mutation("talk:greet", user="ada")
        for person in ("ada", "eve"):
            await app.query("talk:shared", user=person)
            await app.query("talk:own", user=person)
        with pytest.raises(Exception, match="declined"):
            await app.mutation("talk:buy", user="ada")
        await settled(app, local)
        await arrived(app, lambda: local.events(event="$exception"))

        lines = [one for one in local.logs() if one["attributes"]["convex.topic"] == "console"]
        of = {(one["body"], one["distinct_id"]) for one in lines if one["distinct_id"] != "marker"}
        assert of == {
            ("first", "ada"),
            ("second", "ada"),
            ("of nobody", None),
            ("of the caller", "ada"),
            ("of the caller", "eve"),
            ("buying", "ada"),
        }
        first, second = [
            next(one for one in lines if one["body"] == body) for body in ("first", "second")
        ]
        assert first["timestamp"] < second["timestamp"]
        assert first["session_id"] == "session-1"
        assert first["attributes"]["convex.function.path"] == "talk:greet"

        (error,) = local.events(event="$exception")
        (buying,) = [one for one in lines if one["body"] == "buying"]
        assert error["distinct_id"] == "ada"
        assert error["properties"]["$trace_id"] == buying["trace_id"] == trace_id_of("test")
        kinds = [entry["kind"] for entry in local.timeline("ada")]
        assert "log" in kinds
        assert kinds.count("exception") == 1
        (issue,) = local.issues()
        assert issue["occurrences"] == 1
        assert local.warnings() == []
        told = json.dumps([local.logs(), local.events()])
        for secret in (app.admin_key, app.admin_key.partition("|")[2], local.project_token):
            assert secret not in told

    deployed(scenario)


@pytest.mark.parametrize("by_component", [True, False])
def test_told_by_hand_and_raised_it_is_one_event_whoever_sends_it(
    deployed: Any, local: PostHogLocal, by_component: bool
) -> None:
    async def scenario(app: Any) -> None:
        host = local.url if by_component else NOWHERE
        await app.set_env(POSTHOG_HOST=host, POSTHOG_PROJECT_TOKEN=local.project_token)
        await stream(app, local, "postHogErrorTracking")
        await stream(app, local, "postHogLogs")
        with pytest.raises(Exception, match="declined"):
            await app.mutation("talk:buy_and_tell", user="ada")
        with pytest.raises(Exception, match="declined"):
            await app.mutation("talk:buy_silently", user="ada")
        with pytest.raises(Exception, match="SOLD_OUT"):
            await app.mutation("talk:sold_out")

        def both() -> list[dict[str, Any]] | None:
            found = local.events(event="$exception")
            return found if len(found) >= 2 else None

        await settled(app, local)
        told, sold_out = await arrived(app, both)
        assert told["properties"]["order"] == 7
        assert told["distinct_id"] == "ada"
        assert told["properties"]["convex_function"] == "talk:buy_and_tell"
        assert sold_out["properties"]["convex_error_data"] == {"code": "SOLD_OUT"}
        assert sold_out["distinct_id"] == "test", "nobody's errors have their request's id"
        assert local.person("test") is None
        assert len(local.events(event="$exception")) == 2
        assert local.warnings() == []

    deployed(scenario)


def test_trouble_on_the_way_loses_and_doubles_nothing(deployed: Any, local: PostHogLocal) -> None:
    async def scenario(app: Any) -> None:
        await app.set_env(POSTHOG_HOST=NOWHERE)
        await stream(app, local, "postHogLogs")
        await stream(app, local, "postHogErrorTracking")
        local.add_fault("/i/v1/logs", times=2, status=503)
        local.add_fault("/batch", times=1, lose_response=True)
        for _ in range(3):
            with pytest.raises(Exception, match="declined"):
                await app.mutation("talk:buy", user="ada")
        await settled(app, local)
        await arrived(app, lambda: len(local.events(event="$exception")) == 3)
        said = [one["body"] for one in local.logs() if one["body"] == "buying"]
        assert len(said) == 3

    deployed(scenario)


class _Repeats(BaseHTTPRequestHandler):
    """Knows every token, takes nothing, and says what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        known = self.path.startswith("/flags")
        said = f"{self.headers.get('authorization')} {body.decode()[:150]}".encode()
        self.send_response(200 if known else 401)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@pytest.mark.parametrize("kind", ["postHogLogs", "postHogErrorTracking"])
def test_a_receiver_that_repeats_the_token_gets_it_into_no_status(
    deployed: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = "phc_canaryCanaryCanary"

    async def scenario(app: Any) -> None:
        settings = {"logStreamType": kind, "apiKey": token, "host": address}
        status, made = await ask(app, "POST", "create_log_stream", settings)
        assert status == 200, made
        assert (await state_of(app, made["id"]))["type"] == "active"
        with pytest.raises(Exception, match="declined"):
            await app.mutation("talk:buy", user="ada")

        async def refused() -> Any:
            (stream,) = app._server.log_streams.overview()["streams"]
            return stream if stream["delivery"]["lastError"] else None

        stream = await app.until("a refusal", refused)
        assert "401" in stream["delivery"]["lastError"]
        assert "[redacted]" in stream["delivery"]["lastError"]
        told = await app.until("a line in the log", lambda: logged(caplog))
        for text in (json.dumps(stream), told):
            assert token not in text

    with ThreadingHTTPServer(("127.0.0.1", 0), _Repeats) as receiver:
        address = f"http://127.0.0.1:{receiver.server_port}"
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            with caplog.at_level("WARNING"):
                deployed(scenario)
        finally:
            receiver.shutdown()
            thread.join()


class _DropsOne(BaseHTTPRequestHandler):
    """Takes every request, but for one record of each."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        part = {"rejectedLogRecords": "1", "errorMessage": "a record is too old"}
        said = json.dumps({} if self.path.startswith("/flags") else {"partialSuccess": part})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


def test_what_a_receiver_drops_of_what_it_took_is_dropped_with_its_reason(
    deployed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(app: Any) -> None:
        settings = {"logStreamType": "postHogLogs", "apiKey": "phc_project", "host": address}
        status, made = await ask(app, "POST", "create_log_stream", settings)
        assert status == 200, made
        assert (await state_of(app, made["id"]))["type"] == "active"

        async def dropped(count: int) -> Any:
            await app.mutation("talk:greet", user="ada")
            (stream,) = app._server.log_streams.overview()["streams"]
            delivery = stream["delivery"]
            # The reason comes with the lane's next status, the count before it.
            told = delivery["dropped"] >= count and delivery["lastError"] is not None
            return delivery if told else None

        await app.until("one that was dropped", lambda: dropped(1))
        delivery = await app.until("another one", lambda: dropped(2))
        assert delivery["lastError"] == "the receiver dropped 1 (a record is too old)"
        told = [one.getMessage() for one in caplog.records if "dropped 1 rows" in one.getMessage()]
        assert len(told) == 1
        assert "a record is too old" in told[0]

    with ThreadingHTTPServer(("127.0.0.1", 0), _DropsOne) as receiver:
        address = f"http://127.0.0.1:{receiver.server_port}"
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            with caplog.at_level("WARNING"):
                deployed(scenario)
        finally:
            receiver.shutdown()
            thread.join()


async def logged(caplog: pytest.LogCaptureFixture) -> str | None:
    told = "\n".join(record.getMessage() for record in caplog.records)
    return told if "sending failed" in told else None


def test_wrong_settings_say_so_as_convexs_api_does(deployed: Any, local: PostHogLocal) -> None:
    async def scenario(app: Any) -> None:
        for changes, code in (
            ({"apiKey": "phx_canary"}, "InvalidPostHogProjectToken"),
            ({"host": "posthog.example"}, "InvalidPostHogHost"),
            ({"topics": []}, "EmptyLogTopics"),
        ):
            settings = {"logStreamType": "postHogLogs", "apiKey": local.project_token} | changes
            status, said = await ask(app, "POST", "create_log_stream", settings)
            assert (status, said["code"]) == (400, code)
            assert "canary" not in said["message"]
        away = {"logStreamType": "postHogLogs", "apiKey": "phc_canary", "host": NOWHERE}
        _, made = await ask(app, "POST", "create_log_stream", away)
        state = await state_of(app, made["id"])
        assert state["type"] == "failed"
        assert "could not be reached" in state["reason"]
        _, shown = await ask(app, "GET", f"get_log_stream/{made['id']}")
        assert "canary" not in json.dumps(shown)

    deployed(scenario)
