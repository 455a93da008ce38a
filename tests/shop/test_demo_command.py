"""`./run demo` as somebody types it: what it says when something is missing, and how it ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from opened_shop import FREE_PORTS, SHOP

from posthog_local.testing import PostHogLocal, running

pytestmark = pytest.mark.timeout(300)
PATIENCE_S = 120.0


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The demo, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=SHOP,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["--posthog-port", "--host-port"])
def test_a_port_that_is_taken(option: str, taken: int) -> None:
    done = demo("--script", "--without-browser", *FREE_PORTS, option, str(taken))
    assert done.returncode == 1
    assert f"Port {taken}" in done.stderr
    assert "is taken" in done.stderr
    assert option in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_that_nobody_asked_for_is_passed_over(taken: int) -> None:
    from demo import ports

    found = ports.choose("--shop-port", None, taken)
    assert taken < found < taken + 50
    assert ports.choose("--shop-port", found, taken) == found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--token", "phc_one"], "give both"),
        (["--host", "https://eu.i.posthog.com"], "give both"),
        (["--host", "eu.i.posthog.com", "--token", "phc_one"], "no address of a PostHog"),
        (["--host", "http://posthog.example", "--token", "phc_one"], "no address of a PostHog"),
        (["--host", "https://eu.i.posthog.com", "--token", "phx_canary"], "personal API key"),
        (["--host", "https://eu.i.posthog.com", "--token", "phs_canary"], "project secret key"),
        (["--host", "https://eu.i.posthog.com", "--token", "canary"], "begins with phc_"),
        (
            ["--host", "https://eu.i.posthog.com", "--token", "phc_a", "--flags-key", "phc_canary"],
            "phs_ or phx_",
        ),
    ],
)
def test_a_host_or_token_that_can_not_be_right(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from demo.launcher import main

    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert says in printed.err
    assert "canary" not in printed.out + printed.err


def test_no_visit_without_a_chromium(npm_packages: None) -> None:
    done = demo("--script", *FREE_PORTS, CHROMIUM="/nowhere/chromium")
    assert done.returncode == 1
    assert "needs a Chromium" in done.stderr
    assert "--without-browser" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_node_a_python_client_is_the_visitor(tmp_path: Path) -> None:
    done = demo("--script", *FREE_PORTS, PATH=path_without("node", tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Node was not found" in done.stdout
    assert "the official Python client" in done.stdout
    for name in ("signed_up", "plan_changed", "order_placed", "$exception", "variant-a"):
        assert name in done.stdout
    assert "users ⨝ orders ⨝ events = Ada, plan club, paid 100 €" in done.stdout
    assert "nothing twice" in done.stdout


def path_without(name: str, folder: Path) -> str:
    """A PATH on which everything is found but this."""
    kept = []
    for number, place in enumerate(map(Path, os.environ["PATH"].split(os.pathsep))):
        if not (place / name).exists():
            kept.append(str(place))
            continue
        copy = folder / f"path{number}"
        copy.mkdir()
        for tool in place.iterdir():
            if tool.name != name:
                (copy / tool.name).symlink_to(tool)
        kept.append(str(copy))
    return os.pathsep.join(kept)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[PostHogLocal]:
    """A PostHog that is not the demo's own."""
    with running() as local:
        yield local


def test_another_posthog_gets_the_events(elsewhere: PostHogLocal) -> None:
    to = ["--host", elsewhere.url, "--token", elsewhere.project_token]
    done = demo("--script", "--without-browser", *FREE_PORTS, *to)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Events go to PostHog at {elsewhere.url}" in done.stdout
    assert "under Activity" in done.stdout
    for event in ("signed_up", "plan_changed", "order_placed", "$exception"):
        elsewhere.wait_for_event(event, timeout=30)
    assert elsewhere.flags() == [], "flags there are its own"
    assert elsewhere.project_token not in done.stdout + done.stderr


def test_a_token_that_the_host_does_not_know(elsewhere: PostHogLocal) -> None:
    elsewhere.add_fault("/flags", status=401)
    elsewhere.add_fault("/decide", status=401)
    try:
        done = demo("--script", "--host", elsewhere.url, "--token", "phc_nobodys")
    finally:
        elsewhere.clear_faults()
    assert done.returncode == 1
    assert "knows no project with this token" in done.stderr
    assert "phc_nobodys" not in done.stdout + done.stderr


def test_ctrl_c_leaves_nothing(npm_packages: None, tmp_path: Path) -> None:
    with started(*FREE_PORTS, TMPDIR=str(tmp_path)) as process:
        assert process.stdout is not None
        printed = read_until(process.stdout, "Ctrl-C stops everything.")
        children = descendants(process.pid)
        assert len(children) >= 3, "PostHog Local, the host, and its isolates"
        urls = [line.strip() for line in printed.splitlines() if line.startswith("    http")]
        assert len(urls) == 3
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all of the group
        os.killpg(process.pid, signal.SIGINT)  # and by somebody who can't wait
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert {pid for pid in children if is_running(pid)} == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_kill_during_the_visit_leaves_nothing(
    ending: signal.Signals, tmp_path: Path
) -> None:
    arguments = ["--script", "--without-browser", *FREE_PORTS]
    with started(*arguments, TMPDIR=str(tmp_path)) as process:
        assert process.stdout is not None
        read_until(process.stdout, "Somebody looks")
        children = descendants(process.pid)
        process.send_signal(ending)
        assert process.wait(60) == 130
    assert {pid for pid in children if is_running(pid)} == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
def test_ctrl_c_while_a_browser_makes_the_visit(npm_packages: None, chromium: str) -> None:
    with (
        # A short path: Chromium puts a socket there, whose name the system bounds to 108 bytes.
        tempfile.TemporaryDirectory(prefix="demo-") as folder,
        started("--script", *FREE_PORTS, TMPDIR=folder, CHROMIUM=chromium) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        read_until(process.stdout, "Somebody looks")
        children = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == ""
    assert {pid for pid in children if is_running(pid)} == set()


def test_what_a_killed_demo_started_ends_by_itself(npm_packages: None, tmp_path: Path) -> None:
    with started(*FREE_PORTS, TMPDIR=str(tmp_path)) as process:
        assert process.stdout is not None
        read_until(process.stdout, "Ctrl-C stops everything.")
        children = descendants(process.pid)
        assert len(children) >= 3, "PostHog Local, the host, and its isolates"
        process.kill()
        process.wait()
        wait_until_ended(children)


@pytest.mark.browser
def test_a_killed_visit_leaves_no_browser(npm_packages: None, chromium: str) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="demo-") as folder,
        started("--script", *FREE_PORTS, TMPDIR=folder, CHROMIUM=chromium) as process,
    ):
        assert process.stdout is not None
        read_until(process.stdout, "Somebody looks")
        children = descendants(process.pid)
        process.kill()
        process.wait()
        wait_until_ended(children)


def wait_until_ended(processes: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while left := {pid for pid in processes if is_running(pid)}:
        assert time.monotonic() < deadline, [command_of(pid) for pid in left]
        time.sleep(0.1)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return f"{pid}, which has ended"


def test_a_shop_that_can_not_be_deployed_ends_the_demo_with_the_reason(tmp_path: Path) -> None:
    copy = tmp_path / "shop"
    for folder in ("convex", "demo"):
        shutil.copytree(SHOP / folder, copy / folder)
    with (copy / "convex" / "cart.py").open("a") as cart:
        cart.write("\nraise LookupError('a mistake of somebody who tries')\n")
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--script", "--without-browser", *FREE_PORTS],
        cwd=copy,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "The demo stopped: The shop could not be deployed." in done.stderr
    assert "a mistake of somebody who tries" in done.stderr
    assert "cart.py" in done.stderr
    assert "did not show" not in done.stderr


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process group of its own, as in a terminal."""
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        cwd=SHOP,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def read_until(stream: IO[str], text: str) -> str:
    printed, deadline = "", time.monotonic() + PATIENCE_S
    while text not in printed:
        ready, _, _ = select.select([stream], [], [], max(0, deadline - time.monotonic()))
        piece = os.read(stream.fileno(), 65536).decode() if ready else ""
        assert piece, f"{text!r} was not printed, within {PATIENCE_S} s or at all: {printed}"
        printed += piece
    return printed


def descendants(pid: int) -> set[int]:
    """Every process below this one."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
            below.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    left = [pid]
    while left:
        children = below.get(left.pop(), [])
        found.update(children)
        left += children
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_happened_is_kept_where_it_was_asked_to_be(tmp_path: Path) -> None:
    arguments = ["--without-browser", *FREE_PORTS, "--data", "kept"]
    for visitors in (1, 2):
        with started(*arguments, DEMO_FROM=str(tmp_path)) as process:
            assert process.stdout is not None
            printed = read_until(process.stdout, "Ctrl-C stops everything.")
            url = printed.partition("listens at ")[2].split()[0]
            with urllib.request.urlopen(f"{url}/_local/persons") as answer:
                assert len(json.load(answer)["persons"]) == visitors
        assert "nothing twice" in printed
    kept = {one.name for one in (tmp_path / "kept").iterdir()}
    assert kept == {"posthog-local", "pyconvex", "posthog-convex-sync.toml", "tables"}


def test_an_old_python_gets_a_sentence(tmp_path: Path) -> None:
    done = run_in_a_clone(tmp_path, python3="exit 1")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_a_python_without_venv_gets_a_sentence(tmp_path: Path) -> None:
    done = run_in_a_clone(tmp_path, python3='case "$*" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac')
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr


def run_in_a_clone(folder: Path, **tools: str) -> subprocess.CompletedProcess[str]:
    """`./run demo` where nothing is installed, with these tools and few others on PATH."""
    root = SHOP.parents[1]
    shutil.copy(root / "run", folder / "run")
    shutil.copytree(root / "requirements", folder / "requirements")
    for package in ("pyconvex", "posthog-convex", "posthog-local"):
        (folder / "packages" / package).mkdir(parents=True)
        shutil.copy(root / "packages" / package / "pyproject.toml", folder / "packages" / package)
    place = folder / "bin"
    place.mkdir()
    for name in ("bash", "env", "dirname", "cat", "cksum", "grep", "flock"):
        if (found := shutil.which(name)) is not None:
            (place / name).symlink_to(found)
    for name, script in tools.items():
        (place / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (place / name).chmod(0o755)
    return subprocess.run(
        ["bash", str(folder / "run"), "demo"],
        env={"PATH": str(place)},
        capture_output=True,
        text=True,
        timeout=60,
    )
