"""The command as a new user runs it: a process of its own, in front of a PostHog Local."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from webhook_requests import (
    SECRET,
    as_json,
    as_jsonl,
    console,
    execution,
    failed,
    function,
    signature,
)

from posthog_convex.logs import trace_id_of
from posthog_convex.receive.spool import Spool
from posthog_local.testing import PostHogLocal
from posthog_local.testing import running as running_local

T = TypeVar("T")
PATIENCE_S = 30.0


def now_ms() -> int:
    return int(time.time() * 1000)


class Receiving:
    """A running `posthog-convex receive`."""

    def __init__(self, process: subprocess.Popen[str], url: str, said: str) -> None:
        self.process = process
        self.url = url
        self.said = said

    def post(self, body: bytes, header: str | None = None) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(self.url, body, method="POST")
        request.add_header("Content-Type", "application/json")
        request.add_header("x-webhook-signature", header or signature(body))
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url + "health", timeout=PATIENCE_S) as answer:
            return dict(json.load(answer))


def environment(local: PostHogLocal, **changes: str) -> dict[str, str]:
    made = {
        "CONVEX_WEBHOOK_SECRET": SECRET,
        "POSTHOG_PROJECT_TOKEN": local.project_token,
        "POSTHOG_HOST": local.url + "/",
    }
    return {**os.environ, **made, **changes}


def command(*arguments: str) -> list[str]:
    program = "from posthog_convex.cli import main; main()"
    place = () if "--port" in arguments else ("--port", "0")
    return [sys.executable, "-c", program, "receive", *place, *arguments]


@contextmanager
def receiving(env: dict[str, str], folder: Path, *arguments: str) -> Iterator[Receiving]:
    with (folder.parent / "receiver.log").open("a") as log:
        process = subprocess.Popen(
            command("--data", str(folder), *arguments),
            env=env,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(5)]
        yield Receiving(process, lines[0].split()[-1], "".join(lines))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) is not None
        process.stdout.close()


def until(what: str, look: Callable[[], T]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)
    return found


def test_lines_and_errors_arrive(local: PostHogLocal, tmp_path: Path) -> None:
    at = now_ms()
    request = function(request_id="0011223344556677")
    with receiving(environment(local), tmp_path / "spool") as receiver:
        assert "linked to no person" in receiver.said
        assert local.project_token not in receiver.said
        lines = as_json(console(at, "'hello'", function=request), execution(at + 1))
        assert receiver.post(lines) == (200, {"status": "accepted", "events": 2})
        broken = as_jsonl(failed(at + 2, function=request))
        assert receiver.post(broken)[0] == 200
        logs = until("the lines", lambda: found if len(found := local.logs()) == 3 else None)
        (issue,) = until("the error", local.issues)
        until("all", lambda: receiver.health()["errors"]["waiting"] == 0)
        assert receiver.health()["logs"] == {
            "waiting": 0,
            "sent": 3,
            "setAside": 0,
            "failing": False,
        }
    assert issue["name"] == "TypeError"
    (error,) = local.events(event="$exception")
    assert error["properties"]["$trace_id"] == trace_id_of("0011223344556677")
    (line,) = [one for one in logs if one["body"] == "hello"]
    assert line["trace_id"] == trace_id_of("0011223344556677")
    assert line["service_name"] == "happy-otter-123"
    assert line["distinct_id"] is None
    assert local.person("0011223344556677") is None, "a request is no person"
    text = (tmp_path / "receiver.log").read_text()
    assert SECRET not in text
    assert local.project_token not in text


def test_a_batch_that_comes_twice_is_forwarded_once(local: PostHogLocal, tmp_path: Path) -> None:
    body = as_json(console(now_ms(), "'once'"), failed(now_ms()))
    with receiving(environment(local), tmp_path / "spool") as receiver:
        assert receiver.post(body)[1]["status"] == "accepted"
        assert receiver.post(body)[1]["status"] == "taken before"
        until("both", lambda: len(local.logs()) == 2 and local.events(event="$exception"))
        until("all", lambda: receiver.health()["logs"]["waiting"] == 0)
    assert len(local.logs()) == 2
    assert len(local.events(event="$exception")) == 1


def test_convexs_test_of_the_webhook_is_answered(local: PostHogLocal, tmp_path: Path) -> None:
    test = {"topic": "verification", "timestamp": now_ms(), "message": "Convex connection test"}
    with receiving(environment(local), tmp_path / "spool") as receiver:
        assert receiver.post(as_json(test)) == (200, {"status": "accepted", "events": 0})
        assert receiver.post(as_jsonl(test))[0] == 200
    assert local.logs() == []


def test_what_is_not_convexs_is_refused(local: PostHogLocal, tmp_path: Path) -> None:
    old, young = as_json(console(now_ms() - 600_000)), as_json(console(now_ms()))
    window = ("--replay-window-s", "300")
    with receiving(environment(local), tmp_path / "spool", *window) as receiver:
        assert receiver.post(young, signature(young, "another"))[0] == 401
        assert receiver.post(young, "nonsense")[0] == 401
        assert receiver.post(b"nonsense")[0] == 400
        status, said = receiver.post(old)
        assert (status, "replay window" in said["error"]) == (400, True)
        assert receiver.health()["logs"]["waiting"] == 0
        assert receiver.post(young)[0] == 200


def test_nothing_is_lost_when_posthog_is_away_and_the_receiver_is_killed(tmp_path: Path) -> None:
    with running_local(data=tmp_path / "posthog") as local:
        env = environment(local)
        with receiving(env, tmp_path / "spool") as receiver:
            local.kill()
            for n in range(5):
                at = now_ms()
                events = (console(at, f"line {n}"), failed(at, f"Uncaught Error: {'abcde'[n]}"))
                assert receiver.post(as_jsonl(*events))[0] == 200
            until("trouble", lambda: receiver.health()["logs"]["failing"])
            receiver.process.kill()
            receiver.process.wait(PATIENCE_S)
        local.start()
        with receiving(env, tmp_path / "spool") as receiver:
            until("all errors", lambda: len(local.events(event="$exception")) == 5)
            until("the logs", lambda: receiver.health()["logs"]["waiting"] == 0)
        said = [one["body"] for one in local.logs() if one["body"].startswith("line")]
        assert sorted(said) == [f"line {n}" for n in range(5)]
        assert len(local.issues()) == 5, "errors without frames are issues of their own"


def test_a_full_spool_sends_convex_away_for_later(tmp_path: Path) -> None:
    with running_local(data=tmp_path / "posthog") as local:
        with receiving(environment(local), tmp_path / "s", "--max-spool-mb", "1") as receiver:
            local.kill()
            big = as_json(console(now_ms(), "x" * 600_000))
            assert receiver.post(big)[0] == 200
            status, said = receiver.post(as_json(console(now_ms(), "y" * 600_000)))
            assert (status, said["error"]) == (503, "the spool is full; send it again later")
        local.start()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"CONVEX_WEBHOOK_SECRET": ""}, "CONVEX_WEBHOOK_SECRET is not set"),
        ({"POSTHOG_PROJECT_TOKEN": ""}, "PostHog project token is required"),
        ({"POSTHOG_PROJECT_TOKEN": "phx_canary"}, "personal API key"),
        ({"POSTHOG_HOST": "posthog"}, "POSTHOG_HOST: Must be a valid URL"),
        ({"POSTHOG_RECEIVE_SAMPLE_RATE": "2"}, "POSTHOG_RECEIVE_SAMPLE_RATE is '2'"),
        ({"POSTHOG_RECEIVE_LOGS": "maybe"}, "POSTHOG_RECEIVE_LOGS is 'maybe'"),
        ({"POSTHOG_RECEIVE_LOGS": "0", "POSTHOG_RECEIVE_ERRORS": "0"}, "nothing to do"),
    ],
)
def test_wrong_settings_are_told_by_name(
    changes: dict[str, str], said: str, local: PostHogLocal, tmp_path: Path
) -> None:
    env = environment(local, **changes)
    ended = subprocess.run(
        command("--data", str(tmp_path / "spool")), env=env, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "canary" not in ended.stderr
    assert "Traceback" not in ended.stderr


class _Refuses(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Stay silent."""


def test_a_token_that_no_project_has_ends_the_start(local: PostHogLocal, tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Refuses) as refusing:
        thread = threading.Thread(target=refusing.serve_forever)
        thread.start()
        env = environment(local, POSTHOG_HOST=f"http://127.0.0.1:{refusing.server_port}")
        ended = subprocess.run(
            command("--data", str(tmp_path / "spool")), env=env, capture_output=True, text=True
        )
        refusing.shutdown()
        thread.join()
    assert ended.returncode == 1
    assert "knows no project with this token (401)" in ended.stderr


def test_one_receiver_a_folder_and_one_listener_an_address(
    local: PostHogLocal, tmp_path: Path
) -> None:
    env = environment(local)
    with receiving(env, tmp_path / "spool"):
        again = subprocess.run(
            command("--data", str(tmp_path / "spool")), env=env, capture_output=True, text=True
        )
    assert (again.returncode, "another receiver uses" in again.stderr) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        other = subprocess.run(
            command("--data", str(tmp_path / "other"), "--port", port),
            env=env,
            capture_output=True,
            text=True,
        )
    assert (other.returncode, "can't be listened on" in other.stderr) == (1, True)


def test_the_app_is_served_by_any_asgi_server(local: PostHogLocal, tmp_path: Path) -> None:
    env = environment(local, POSTHOG_RECEIVE_DATA=str(tmp_path / "spool"))
    served = [sys.executable, "-m", "uvicorn", "posthog_convex.receive:app", "--port", "0"]
    process = subprocess.Popen(served, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = next(line for line in process.stderr if "running on" in line)
        address = next(word for word in said.split() if word.startswith("http"))
        receiver = Receiving(process, address + "/", said)
        assert receiver.post(as_json(console(now_ms(), "'served'")))[0] == 200
        assert receiver.health()["logs"]["setAside"] == 0
        until("the line", local.logs)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def test_an_asgi_server_is_told_what_is_wrong_with_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from posthog_convex.receive import app

    monkeypatch.setenv("CONVEX_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("POSTHOG_PROJECT_TOKEN", "phx_canary")
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(app({"type": "lifespan"}, receive, send))
    (failed_,) = told
    assert failed_["type"] == "lifespan.startup.failed"
    assert failed_["message"].startswith("POSTHOG_PROJECT_TOKEN: This is a personal API key")
    assert "canary" not in failed_["message"]


def test_an_asgi_server_is_told_of_a_second_receiver_in_a_sentence(
    local: PostHogLocal, tmp_path: Path
) -> None:
    env = environment(local, POSTHOG_RECEIVE_DATA=str(tmp_path / "spool"))
    spool = Spool(tmp_path / "spool", ["logs"], max_bytes=1_000_000)
    try:
        served = [sys.executable, "-m", "uvicorn", "posthog_convex.receive:app", "--port", "0"]
        second = subprocess.run(served, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    finally:
        spool.close()
    assert second.returncode != 0
    assert "another receiver uses" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_what_our_own_hosts_webhook_sends_is_taken(
    deployed: Any, local: PostHogLocal, tmp_path: Path, form: str
) -> None:
    async def scenario(app: Any) -> None:
        def ask(path: str, body: dict[str, Any] | None = None) -> Any:
            request = urllib.request.Request(f"{app.url}/api/v1/{path}")
            request.add_header("Authorization", f"Convex {app.admin_key}")
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.loads(answer.read() or b"null")

        # The secret is made with the stream, so the receiver comes later than its address.
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        settings = {"logStreamType": "webhook", "url": url, "format": form}
        made = await asyncio.to_thread(ask, "create_log_stream", settings)
        env = environment(local, CONVEX_WEBHOOK_SECRET=made["hmacSecret"])
        with receiving(env, tmp_path / "spool", "--port", str(port)):
            await asyncio.to_thread(ask, f"update_log_stream/{made['id']}", settings)

            async def active() -> bool:
                shown = await asyncio.to_thread(ask, f"get_log_stream/{made['id']}")
                return bool(shown["status"]["type"] == "active")

            await app.until("a verified stream", active)
            await app.fails("query", "shop:plain_failure", {})
            await asyncio.to_thread(until, "the error", local.issues)
            (error,) = local.events(event="$exception")
            frames = error["properties"]["$exception_list"][0]["stacktrace"]["frames"]
            assert error["properties"]["convex_function"] == "shop:plain_failure"
            assert [frame["resolved_name"] for frame in frames] == ["plain_failure", "pay"]
            found = await asyncio.to_thread(until, "the execution", local.logs)
            assert {one["trace_id"] for one in found} >= {error["properties"]["$trace_id"]}

    deployed(scenario)
