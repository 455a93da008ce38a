"""`pyconvex log-streams`, as a new user goes through it, and `start --print-events`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from cli_process import DEADLINE_S, Running
from click.testing import CliRunner, Result

from pyconvex.cli import env_local, main
from pyconvex.cli.deployment import Deployment


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_from_the_first_list_to_the_last(
    project: Path, running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = running(project, "dev", "--port", "0", "--no-watch", "--isolates", "1", "--json")
    dev.wait_for("deployed")
    monkeypatch.chdir(project)
    for name in (env_local.URL_VARIABLE, env_local.KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str, status: int = 0, given: str | None = None) -> Result:
        result = CliRunner().invoke(main, ["log-streams", *words], input=given)
        assert result.exit_code == status, result.output
        assert dev.admin_key not in result.output
        return result

    first = command("list").output
    assert "There are no log streams." in first
    assert "webhook url=URL format=json|jsonl" in first
    assert "file path=TEXT [maxBytes=NUMBER] [keep=NUMBER]" in first
    path = project / "events.jsonl"
    added = command("add", "file", f"path={path}", "keep=2", "--topics", "console").output
    assert added == "The file stream is active.\n"
    ran = CliRunner().invoke(main, ["run", "lib:hello", '{"name": "ann"}'])
    assert ran.exit_code == 0, ran.output
    until(lambda: path.exists() and "greeting ann" in path.read_text())
    (event,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (event["topic"], event["convex"]["deployment_type"]) == ("console", "dev")
    until(lambda: "sent 1, waiting 0, dropped 0, set aside 0" in command("list").output)
    listed = command("list").output
    assert f"path={path} maxBytes=67108864 keep=2 topics=console" in listed
    assert command("test", "file").output == "file: the verification was taken.\n"
    assert "The file stream is active." in command("update", "file", "--topics", "all").output
    told = json.loads(command("list", "--json").output)
    (stream,) = told["streams"]
    assert (stream["topics"], stream["keep"]) == (None, 2)
    # What is wrong is said, and with which word.
    assert "no setting of file streams" in command("add", "file", "pat=/x", status=2).output
    assert "file streams need path (Path): give path=" in command("add", "file", status=2).output
    assert "There are no tea streams here." in command("add", "tea", status=2).output
    assert "already exists" in command("add", "file", f"path={path}", status=1).output
    assert "path must be the absolute" in command("update", "file", "path=x", status=1).output
    unreachable = ("add", "webhook", "url=-", "format=json")
    refused = command(*unreachable, status=1, given="http://127.0.0.1:9/x\n").output
    assert "hmacSecret: " in refused
    assert "The webhook stream is kept and does not send: Gave up after 3 attempts" in refused
    assert "attempts failed, at http://127.0.0.1:9. Mend it with: " in refused
    secret = refused.split("hmacSecret: ")[1].split("\n")[0]
    listed = command("list").output
    assert secret not in listed
    assert "webhook (" in listed
    rotated = command("rotate-secret").output
    assert secret not in rotated
    assert "Gave up after 3" in command("test", "webhook", status=1).output
    for kind in ("webhook", "file"):
        assert command("remove", kind).output == f"Removed the {kind} stream.\n"
    assert "There is no stream 'file'" in command("test", "file", status=1).output
    assert "There are no log streams." in command("list").output
    assert dev.stop() == 0


@pytest.mark.parametrize("set_aside", [0, 2])
def test_a_stream_that_set_events_aside_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, set_aside: int
) -> None:
    fares = {"state": "sending", "sent": 1, "waiting": 0, "moreWaiting": False, "lagSeconds": None}
    fares |= {"dropped": 0, "setAside": set_aside, "lastError": None}
    stream = {"logStreamType": "file", "id": "k1", "status": {"type": "active"}, "delivery": fares}
    overview = {"streams": [stream], "types": []}
    monkeypatch.setattr(Deployment, "get", lambda self, path: overview)
    words = ["log-streams", "list", "--url", "http://127.0.0.1:1", "--admin-key", "k"]
    listed = CliRunner().invoke(main, words)
    assert listed.exit_code == 0, listed.output
    assert f"set aside {set_aside}\n" in listed.output
    assert ("runlog/set_aside.jsonl" in listed.output) == bool(set_aside)


def test_start_prints_events(project: Path, running: Callable[..., Running]) -> None:
    options = ("--data", "data", "--port", "0", "--isolates", "1", "--json")
    start = running(project, "start", "--functions", "convex", *options, "--print-events", "jsonl")
    url = start.wait_for("url")
    body = {"path": "lib:hello", "args": {"name": "bob"}, "format": "json"}
    answer = httpx2.post(f"{url}/api/query", json=body, timeout=DEADLINE_S)
    assert answer.json()["value"] == "hello bob"
    while (told := start.wait_for("topic")) != "console":
        assert told in ("function_execution", "audit_log")
    assert start.stop() == 0
    assert any("greeting bob" in line for line in start.out)
