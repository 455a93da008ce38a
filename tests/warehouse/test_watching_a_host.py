"""The commands against a host that runs: a watch carries commits, and outlives the host."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

PATIENCE_S = 60.0
FUNCTIONS = """
from pyconvex import MutationCtx, QueryCtx, mutation, query


@mutation
async def add(ctx: MutationCtx, first: int, count: int) -> None:
    for number in range(first, first + count):
        await ctx.db.insert("orders", {"number": number, "state": "new"})


@query
async def ready(ctx: QueryCtx) -> bool:
    return True
"""

CONFIG = """
[deployment]
url = "http://127.0.0.1:{port}"
api = "{api}"

[destination]
kind = "duckdb"
path = "{name}.duckdb"
"""


@dataclass(frozen=True)
class Host:
    """A host on its own folder; it may be started more than once."""

    folder: Path
    port: int

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            *(str(Path(sys.executable).with_name("pyconvex")), "start"),
            *("--functions", str(self.folder / "convex"), "--data", str(self.folder / "data")),
            *("--port", str(self.port), "--site-port", "0"),
        ]
        with (self.folder / "console.txt").open("ab") as console:
            process = subprocess.Popen(command, cwd=self.folder, stdout=console, stderr=console)
        try:
            until(lambda: self.call("query", "orders:ready") is True)
            yield process
        finally:
            process.kill()
            process.wait()

    def call(self, kind: str, path: str, **arguments: Any) -> Any:
        body = json.dumps({"path": path, "args": arguments, "format": "json"}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{kind}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["value"]

    @property
    def key(self) -> str:
        return (self.folder / "data" / "admin_key").read_text().strip()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if condition():
                return
        except (OSError, duckdb.Error):
            pass
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "orders.py").write_text(FUNCTIONS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return Host(tmp_path, port)


def command(
    host: Host, *arguments: str, name: str = "sync.toml"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(host, *arguments, name=name),
        env={**os.environ, "CONVEX_DEPLOY_KEY": host.key},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def argv(host: Host, *arguments: str, name: str = "sync.toml") -> list[str]:
    tool = str(Path(sys.executable).with_name("posthog-convex"))
    config = str(host.folder / name)
    return [tool, "sync", arguments[0], "--config", config, *arguments[1:]]


@contextmanager
def watching(host: Host) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        argv(host, "watch"),
        env={**os.environ, "CONVEX_DEPLOY_KEY": host.key},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def count(host: Host) -> int:
    with duckdb.connect(str(host.folder / "w.duckdb"), read_only=True) as connection:
        return int(connection.execute("SELECT count(*) FROM orders").fetchall()[0][0])


@pytest.mark.timeout(300)
def test_the_legacy_export_gives_the_same(host: Host) -> None:
    with host.running():
        host.call("mutation", "orders:add", first=0, count=1_500)
        for name, api in (("new", "auto"), ("old", "legacy")):
            config = CONFIG.format(port=host.port, api=api, name=name)
            (host.folder / "sync.toml").write_text(config)
            done = command(host, "run")
            assert done.returncode == 0, done.stderr
        host.call("mutation", "orders:add", first=1_500, count=300)
        done = command(host, "run")
        assert done.returncode == 0, done.stderr
        (host.folder / "sync.toml").write_text(
            CONFIG.format(port=host.port, api="auto", name="new")
        )
        done = command(host, "run")
        assert done.returncode == 0, done.stderr
    found = []
    for name in ("old", "new"):
        with duckdb.connect(str(host.folder / f"{name}.duckdb"), read_only=True) as connection:
            found.append(connection.execute("SELECT * FROM orders ORDER BY _id").fetchall())
    assert len(found[0]) == 1_800
    assert found[0] == found[1]


@pytest.mark.timeout(300)
def test_a_watch_carries_commits_and_outlives_the_host(host: Host) -> None:
    with host.running():
        host.call("mutation", "orders:add", first=0, count=10)
        url = f"http://127.0.0.1:{host.port}"
        where = ["--to", "duckdb", "--path", "w.duckdb", "--key-env", "CONVEX_DEPLOY_KEY"]
        done = command(host, "init", "--url", url, *where)
        assert done.returncode == 0, done.stderr
        assert "through data sync" in done.stdout
        with watching(host) as process:
            until(lambda: count(host) == 10)
            host.call("mutation", "orders:add", first=10, count=1_000)
            until(lambda: count(host) == 1_010)
            process.kill()  # in the middle of waiting: nothing is lost, nothing comes twice
        host.call("mutation", "orders:add", first=1_010, count=5)
        with watching(host):
            until(lambda: count(host) == 1_015)
    with watching(host), host.running():
        host.call("mutation", "orders:add", first=1_015, count=5)
        until(lambda: count(host) == 1_020)
    done = command(host, "status")
    assert done.returncode == 0
    assert "1,020  orders" in done.stdout
    assert "of 14.0 days that it is good for" in done.stdout, "as the host says"
    assert host.key not in done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_the_host_runs_it_by_itself(host: Host) -> None:
    """Set up while the host runs, as its file says, and again after the host was killed."""
    name, where = "posthog-convex-sync.toml", ["--to", "duckdb", "--path", "w.duckdb"]
    given = ["--url", f"http://localhost:{host.port}", "--key-env", "CONVEX_DEPLOY_KEY", *where]
    with host.running() as process:
        host.call("mutation", "orders:add", first=0, count=10)
        done = command(host, "init", *given, "--schedule", "watch", name=name)
        assert (done.returncode, "by itself from now on" in done.stdout) == (0, True), done.stderr
        until(lambda: count(host) == 10)
        host.call("mutation", "orders:add", first=10, count=5)
        until(lambda: count(host) == 15)
        done = command(host, "run", name=name)  # a second writer waits, and both are right
        assert done.returncode == 0, done.stderr
        host.call("mutation", "orders:add", first=15, count=5)
        until(lambda: count(host) == 20)
        told = command(host, "status", name=name).stdout
        found = re.search(r"runs +in the host, watching: running as process (\d+)", told)
        assert found is not None, told
        process.kill()
        until(lambda: not lives(int(found[1])))
    told = command(host, "status", name=name).stdout
    assert "in the host, watching, while that runs; it does not answer now" in told
    (host.folder / name).write_text((host.folder / name).read_text().replace('"watch"', '"6h"'))
    with host.running():
        host.call("mutation", "orders:add", first=20, count=1)
        until(lambda: "in the host, every 6h: waiting" in command(host, "status", name=name).stdout)
    assert count(host) in (20, 21)  # it began before that mutation or after it
    console = (host.folder / "console.txt").read_text()
    assert "[posthog_sync] " in console
    assert host.key not in console


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has collected yet does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
