"""`pyconvex dev` and `pyconvex start`, from their first line to their exit status."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from cli_process import APP, DEADLINE_S, Running
from click.testing import CliRunner

from pyconvex.cli import env_local, main

Start = Callable[..., Running]
DEV = ("dev", "--port", "0", "--isolates", "1", "--json")


def ask(url: str, path: str) -> object:
    answer = httpx2.post(f"{url}/api/query", json={"path": path, "args": {}}, timeout=DEADLINE_S)
    return answer.json()["value"]


def save(project: Path, text: str, name: str = "lib") -> None:
    (project / "convex" / f"{name}.py").write_text(text)


def test_dev_serves_and_tells_where_and_keeps_the_key_to_itself(
    project: Path, running: Start
) -> None:
    (project / ".env.local").write_text("MINE=1\n")
    dev = running(project, *DEV)
    url = dev.wait_for("url")
    assert dev.wait_for("deployed") == 5
    assert ask(url, "lib:hello") == "hello you"
    found = env_local.read(project)
    site_url = found.pop("VITE_CONVEX_SITE_URL")
    nowhere = httpx2.get(site_url, timeout=DEADLINE_S)
    assert nowhere.text == "This Convex deployment does not have HTTP actions enabled."
    assert found == {
        "MINE": "1",
        "VITE_CONVEX_URL": url,
        "CONVEX_SELF_HOSTED_URL": url,
        "CONVEX_SELF_HOSTED_ADMIN_KEY": dev.admin_key,
    }
    assert stat.S_IMODE((project / ".env.local").stat().st_mode) == 0o600
    assert stat.S_IMODE((project / ".pyconvex" / "admin_key").stat().st_mode) == 0o600
    assert dev.stop(signal.SIGTERM) == 0
    assert dev.admin_key not in "\n".join(dev.out + dev.err)
    assert dev.err == []


def test_dev_ends_with_the_data_that_it_served(project: Path, running: Start) -> None:
    dev = running(project, *DEV)
    dev.wait_for("deployed")
    shutil.rmtree(project / ".pyconvex")
    assert dev.ended() == 1
    assert "The data folder .pyconvex was deleted or moved" in "\n".join(dev.err)
    assert "Traceback" not in "\n".join(dev.err)


def test_dev_ends_in_order_with_its_input(project: Path) -> None:
    program = "from pyconvex.cli import main; main(prog_name='pyconvex')"
    with subprocess.Popen(
        [sys.executable, "-c", program, *DEV, "--end-with-stdin"],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as dev:
        assert dev.stdout is not None
        assert dev.stdin is not None
        assert dev.stderr is not None
        while "deployed" not in dev.stdout.readline():
            assert dev.poll() is None
        dev.stdin.close()
        assert dev.wait(DEADLINE_S) == 0
        assert dev.stderr.read() == ""


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine(project: Path, running: Start, host: str) -> None:
    dev = running(project, *DEV, "--host", host)
    assert dev.ended() == 1
    assert "--host takes an address of this machine" in "\n".join(dev.err)


def test_dev_says_the_same_to_people(project: Path, running: Start) -> None:
    route = '@http.route(path="/a", method="GET")\nasync def a(ctx, request): ...\n'
    save(project, f"from pyconvex import *\nhttp = http_router()\n{route}", "http")
    dev = running(project, "dev", "--port", "0", "--isolates", "1", "--no-watch")
    deadline = time.monotonic() + DEADLINE_S
    told = "Deployed 5 functions and 1 HTTP route in "
    while not any(line.startswith(told) for line in dev.out):
        assert time.monotonic() < deadline, (dev.out, dev.err)
        time.sleep(0.01)
    assert dev.out[0].startswith("Serving convex at http://127.0.0.1:")
    # What is piped may be kept by anybody: no link that lets in.
    assert dev.out[1] == "Dashboard: `pyconvex dashboard` gives a link that signs you in."

    url = env_local.read(project)["VITE_CONVEX_URL"]
    assert ask(url, "lib:hello") == "hello you"
    httpx2.post(f"{url}/api/mutation", json={"path": "lib:fail", "args": {}}, timeout=DEADLINE_S)
    while len(dev.err) < 2:
        assert time.monotonic() < deadline, (dev.out, dev.err)
        time.sleep(0.01)
    assert dev.err[0].endswith(" [Q(lib:hello)] [LOG] 'greeting you'")
    assert ' [M(lib:fail)] Uncaught ConvexError: {"code":"NO"}' in dev.err[1]
    assert dev.stop(signal.SIGINT) == 0


def test_a_save_deploys_again_and_a_mistake_is_shown(project: Path, running: Start) -> None:
    dev = running(project, *DEV)
    url = dev.wait_for("url")
    dev.wait_for("deployed")
    save(project, APP.replace("hello {name}", "servus {name}"))
    dev.wait_for("deployed")
    assert ask(url, "lib:hello") == "servus you"
    save(project, "def broken(:")
    assert "convex/lib.py:1: SyntaxError" in dev.wait_for("problem")
    assert ask(url, "lib:hello") == "servus you"
    save(project, APP)
    dev.wait_for("deployed")
    assert ask(url, "lib:hello") == "hello you"
    save(project, "", "__init__")
    assert "__init__.py" in dev.wait_for("problem")
    assert dev.stop() == 0


def test_a_start_with_a_mistake_serves_what_was_deployed_last(
    project: Path, running: Start
) -> None:
    first = running(project, *DEV)
    first.wait_for("deployed")
    assert first.stop() == 0
    save(project, "def broken(:")
    again = running(project, *DEV)
    url = again.wait_for("url")
    assert "convex/lib.py:1: SyntaxError" in again.wait_for("problem")
    assert again.wait_for("still_deployed") is True
    assert ask(url, "lib:hello") == "hello you"
    save(project, "x = 1")
    assert again.wait_for("deployed") == 0
    assert again.wait_for("functions") == 0  # says why
    assert again.stop() == 0


SLOW = """
import pathlib, time
pathlib.Path({begun!r}).touch()
while not pathlib.Path({go!r}).exists():
    time.sleep(0.01)
"""


def test_what_is_saved_during_a_deploy_is_deployed_too(project: Path, running: Start) -> None:
    begun, go = project / "begun", project / "go"
    save(project, SLOW.format(begun=str(begun), go=str(go)), "a")
    dev = running(project, *DEV)
    dev.wait_for("url")
    deadline = time.monotonic() + DEADLINE_S
    while not begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    save(project, APP, "b")
    go.touch()
    while (
        dev.wait_for("deployed") != 10
    ):  # the save may have ended the first import, if it was slow
        pass
    assert dev.stop() == 0


def test_a_missing_variable_is_waited_for(project: Path, running: Start) -> None:
    save(
        project,
        "from pyconvex import *\napp = define_app(env={'TOKEN': v.string()})",
        "convex_config",
    )
    dev = running(project, *DEV)
    url = dev.wait_for("url")
    problem = dev.wait_for("problem")
    assert "Required environment variables are not set: TOKEN" in problem
    assert "pyconvex env set TOKEN <value>" in problem
    headers = {"Authorization": f"Convex {dev.admin_key}"}
    changes = {"changes": [{"name": "TOKEN", "value": "t"}]}
    httpx2.post(f"{url}/api/update_environment_variables", json=changes, headers=headers)
    dev.wait_for("deployed")
    assert ask(url, "lib:token") == "t"
    assert dev.stop() == 0


def test_a_frontend_gets_types_and_public_variables(project: Path, running: Start) -> None:
    (project / "package.json").write_text('{"dependencies": {"next": "16.0.0"}}')
    dev = running(project, *DEV)
    url = dev.wait_for("url")
    dev.wait_for("deployed")
    types = project / "convex" / "_generated" / "api.d.ts"
    assert "hello: FunctionReference<" in types.read_text()
    assert env_local.read(project)["NEXT_PUBLIC_CONVEX_URL"] == url

    def change(**values: str | None) -> None:
        changes = {"changes": [{"name": name, "value": v} for name, v in values.items()]}
        headers = {"Authorization": f"Convex {dev.admin_key}"}
        httpx2.post(f"{url}/api/update_environment_variables", json=changes, headers=headers)

    def until(**expected: str | None) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while {name: env_local.read(project).get(name) for name in expected} != expected:
            assert time.monotonic() < deadline, env_local.read(project)
            time.sleep(0.01)

    change(VITE_KEY="it's", NEXT_PUBLIC_A="a", SECRET="s")
    until(VITE_KEY="it's", NEXT_PUBLIC_A="a", SECRET=None)
    change(VITE_KEY=None, NEXT_PUBLIC_A="b")
    until(VITE_KEY=None, NEXT_PUBLIC_A="b")
    save(project, APP.replace("async def hello", "async def servus"))
    dev.wait_for("deployed")
    assert "servus: FunctionReference<" in types.read_text()
    assert dev.stop() == 0


def test_a_save_ends_an_import_that_hangs(project: Path, running: Start) -> None:
    begun = project / "begun"
    save(
        project,
        f"from pathlib import Path\nimport time\nPath({str(begun)!r}).touch()\ntime.sleep(600)",
    )
    dev = running(project, *DEV)
    url = dev.wait_for("url")
    ended_by = time.monotonic() + DEADLINE_S
    while not begun.exists():
        assert time.monotonic() < ended_by
        time.sleep(0.02)
    save(project, APP)
    assert dev.wait_for("anew") is True
    assert dev.wait_for("deployed") == 5
    assert ask(url, "lib:hello") == "hello you"
    assert dev.stop() == 0
    assert "Importing" not in "\n".join(dev.err)


def test_stopping_in_the_middle_of_an_import(project: Path, running: Start) -> None:
    save(project, "while True: pass", "a")
    dev = running(project, *DEV)
    dev.wait_for("url")
    assert dev.stop() == 0


# Start


def test_start_runs_what_was_deployed_without_the_folder(project: Path, running: Start) -> None:
    dev = running(project, *DEV, "--no-watch")
    dev.wait_for("deployed")
    assert dev.stop() == 0
    shutil.rmtree(project / "convex")
    start = running(project, "start", "--port", "0", "--isolates", "1", "--json")
    assert ask(start.wait_for("url"), "lib:hello") == "hello you"
    assert start.stop() == 0
    assert dev.admin_key not in "\n".join(start.out + start.err)


def test_a_new_key_is_shown_once_and_at_a_terminal_only(project: Path) -> None:
    program = "from pyconvex.cli import main; main(prog_name='pyconvex')"
    start = [sys.executable, "-c", program, "start", "--port", "0", "--isolates", "0"]

    first = at_a_terminal(start, project, until="Nothing is deployed yet")
    key = (project / ".pyconvex" / "admin_key").read_text().strip()
    assert first.count(key) == 1
    assert key not in at_a_terminal(start, project, until="Nothing is deployed yet")


def at_a_terminal(command: list[str], folder: Path, *, until: str) -> str:
    """What a person sees of a command, up to this text."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = ""
    try:
        while until not in text:
            text += os.read(ours, 4096).decode()
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        os.close(ours)
    return text


def test_dev_shows_a_person_a_link_to_the_dashboard(project: Path) -> None:
    program = "from pyconvex.cli import main; main(prog_name='pyconvex')"
    dev = [sys.executable, "-c", program, "dev", "--port", "0", "--isolates", "0", "--no-watch"]
    text = at_a_terminal(dev, project, until="gives another link")
    link = re.search(r"Dashboard: (http://127.0.0.1:\d+/dashboard/sign_in/\S+)", text)
    assert link is not None, text


# What can't be


def command(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


@pytest.fixture
def _here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.mark.usefixtures("_here")
def test_a_missing_functions_folder(project: Path) -> None:
    for arguments in (("dev", "--functions", "nope"), ("start", "--functions", "nope")):
        status, output = command(*arguments, "--port", "0")
        assert (status, "There is no functions folder at" in output) == (1, True), output
    assert not (project / ".env.local").exists()
    assert not (project / ".pyconvex").exists()


@pytest.mark.usefixtures("_here")
def test_an_app_that_start_can_not_deploy(project: Path) -> None:
    save(project, "def broken(:")
    status, output = command("start", "--functions", "convex", "--port", "0")
    assert (status, "SyntaxError" in output) == (1, True)


@pytest.mark.usefixtures("_here")
def test_a_port_that_is_taken(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, output = command("dev", "--port", port, "--no-watch")
    assert status == 1
    assert f"Can't listen on 127.0.0.1:{port}" in output
    assert "--port 0 for a free one" in output
    assert not (project / ".env.local").exists()


def test_a_data_folder_that_is_in_use(
    project: Path, running: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = running(project, *DEV, "--no-watch")
    dev.wait_for("deployed")
    monkeypatch.chdir(project)
    status, output = command("start", "--port", "0")
    assert status == 1
    assert str(dev.process.pid) in output
    assert dev.stop() == 0


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/api", "ftp://shop.example", "https://a.b?c=1"]
)
def test_an_origin_is_an_address_without_path(origin: str) -> None:
    for option in ("--cloud-origin", "--site-origin"):
        status, output = command("start", option, origin)
        assert status == 2
        assert "https://api.example.com" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["dev", "--port", "x"],
        ["start", "--port", "65536"],
        ["dev", "--isolates", "-1"],
        ["nope"],
        ["run"],
        ["dev", "x"],
    ],
)
def test_a_wrong_command_line_is_status_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_a_command_that_is_nearly_one() -> None:
    assert "Did you mean 'log-streams'?" in command("log-stream")[1]
    assert "Did you mean 'logs'?" in command("lgos")[1]


def test_help_and_version() -> None:
    status, output = command("--help")
    assert status == 0
    assert all(name in output for name in ("dev", "start", "env", "run"))
    status, output = command("--version")
    assert (status, output.startswith("pyconvex, version ")) == (0, True)
