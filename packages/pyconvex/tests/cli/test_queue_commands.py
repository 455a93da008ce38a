"""`pyconvex queues`: rows that a receiver refused are seen, sent again and forgotten."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cli_process import DEADLINE_S, Running
from click.testing import CliRunner, Result

from pyconvex.cli import env_local, main

LANE = """
import json
from pyconvex.delivery import Limits, QueueLane, Request

class EventLane(QueueLane):
    queue = "events"
    needs = ("RECEIVER",)
    limits = Limits(max_rows=10, max_age_s=0.02)

    def encode(self, rows, env):
        return Request("POST", env["RECEIVER"], (), json.dumps(rows).encode())
"""
CONFIG = """
from pyconvex import define_app, define_component, v
part = define_component("part", functions="aside_part")
part.queue("events")
app = define_app(env={"RECEIVER": v.optional(v.string())})
app.queue("events")
app.lane("aside_lanes:EventLane")
app.use(part)
"""
FUNCTIONS = """
from pyconvex import *

@mutation
async def tell(ctx: MutationCtx, uuid: str) -> None:
    await ctx.enqueue("events", {"uuid": uuid, "secret": f"of {uuid}"})
"""


class Receiver:
    """Answers 400 to rows that it can't stand, and keeps the others."""

    def __init__(self) -> None:
        self.hated = {"b", "c", "e"}
        self.taken: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                uuids = [row["uuid"] for row in json.loads(body)]
                bad = receiver.hated.intersection(uuids)
                if not bad:
                    receiver.taken += uuids
                self.send_response(400 if bad else 200)
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"\x1b[2J" if bad else b"fine")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_rows_that_were_refused_are_seen_sent_again_and_forgotten(
    tmp_path: Path,
    receiver: Receiver,
    running: Callable[..., Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    functions = tmp_path / "convex"
    functions.mkdir()
    (functions / "convex_config.py").write_text(CONFIG)
    (functions / "lib.py").write_text(FUNCTIONS)
    (tmp_path / "aside_lanes.py").write_text(LANE)
    (tmp_path / "aside_part").mkdir()
    (tmp_path / "aside_part" / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in (env_local.URL_VARIABLE, env_local.KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    dev = running(tmp_path, "dev", "--port", "0", "--no-watch", "--isolates", "1", "--json")
    dev.wait_for("deployed")
    url = env_local.read(tmp_path)[env_local.URL_VARIABLE]

    def pyconvex(*words: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, words)
        assert result.exit_code == status, result.output
        assert dev.admin_key not in result.output
        return result

    def shown(*words: str) -> list[dict[str, Any]]:
        lines = pyconvex("queues", "show", "events", "--json", *words).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def level() -> dict[str, Any]:
        queues = json.loads(pyconvex("queues", "list", "--json").output)
        return next(queue for queue in queues if queue["component"] == "")

    audits = tmp_path / "audits.jsonl"
    pyconvex("log-streams", "add", "file", f"path={audits}", "--topics", "audit_log")
    pyconvex("env", "set", "RECEIVER", receiver.url)
    assert "events: " in pyconvex("queues", "list").output
    assert pyconvex("queues", "show", "events").output == "No row of events is set aside.\n"
    for uuid in "abcdef":
        pyconvex("run", "lib:tell", json.dumps({"uuid": uuid}))
    until(lambda: (level()["setAside"], level()["sent"]) == (3, 3))
    assert sorted(receiver.taken) == ["a", "d", "f"]
    listed = pyconvex("queues", "list").output
    assert "waiting 0, sent 3, dropped 0, set aside 3\n" in listed
    assert "see them with: pyconvex queues show events\n" in listed
    assert "part/events: no lane runs\n" in listed
    assert "of b" not in listed
    newest, *older = shown()
    assert [row["value"]["uuid"] for row in (newest, *older)] == ["e", "c", "b"]
    assert "400" in newest["reason"]
    assert shown("--before", newest["id"]) == older
    told = pyconvex("queues", "show", "events", "--limit", "2").output
    assert '{"secret":"of e","uuid":"e"}' in told or '{"uuid":"e","secret":"of e"}' in told
    assert f"There are older ones: pyconvex queues show events --before {older[0]['id']}\n" in told
    assert "\x1b" not in told
    doctor = CliRunner().invoke(main, ["doctor"]).output
    assert "3 set aside" in doctor
    assert "look at them with: pyconvex queues show events\n" in doctor
    # What is wrong is said before anything is done.
    assert "Say which rows: --id" in pyconvex("queues", "retry", "events", status=2).output
    for command in ("retry", "discard"):
        words = ("queues", command, "events", "--id", "1-1", *(["--yes"] * (command == "discard")))
        assert "No row 1-1 of the queue /events is set aside. Nothing was " in (
            pyconvex(*words, status=1).output
        )
    assert "There is no queue 'tea'. Those that there are: events, part/events." in (
        pyconvex("queues", "show", "tea", status=1).output
    )
    # Refused again, it is set aside again, behind the others.
    assert "1 row" in pyconvex("queues", "retry", "events", "--id", older[1]["id"]).output
    until(lambda: [row["value"]["uuid"] for row in shown()] == ["b", "e", "c"])
    newest = shown()[0]
    asked = pyconvex("queues", "discard", "events", "--id", newest["id"], status=1).output
    assert "1 row of events" in asked
    assert level()["setAside"] == 3
    discarded = pyconvex("queues", "discard", "events", "--id", newest["id"], "--yes")
    assert discarded.output == "Discarded of events: 1 row.\n"
    # The receiver is mended: the rest comes in its order, the same rows, once.
    receiver.hated.clear()
    before = list(receiver.taken)
    assert (
        pyconvex("queues", "retry", "events", "--all").output == "Put back into events: 2 rows.\n"
    )
    until(lambda: level()["sent"] == 5)
    assert receiver.taken == [*before, "c", "e"]
    assert (level()["setAside"], level()["waiting"], shown()) == (0, 0, [])
    assert (
        pyconvex("queues", "retry", "events", "--all").output == "Put back into events: 0 rows.\n"
    )
    asked_without_key = httpx2.get(f"{url}/api/pyconvex/queues/set_aside?queue=events")
    assert asked_without_key.status_code == 403
    until(lambda: audits.read_text().count("set_aside_rows") == 3)
    told_of = [json.loads(line) for line in audits.read_text().splitlines()]
    assert [
        (each["audit_log_action"], json.loads(each["audit_log_metadata"])) for each in told_of[-3:]
    ] == [
        ("retry_set_aside_rows", {"component": None, "queue": "events", "rows": 1}),
        ("discard_set_aside_rows", {"component": None, "queue": "events", "rows": 1}),
        ("retry_set_aside_rows", {"component": None, "queue": "events", "rows": 2}),
    ]
    assert dev.stop() == 0
    assert not any("of b" in line for line in (*dev.out, *dev.err)), "rows stand in no log"
