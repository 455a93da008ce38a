"""A project from `pyconvex init` to a message in the table, and with PostHog to an event there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_process import Running
from click.testing import CliRunner, Result

from posthog_local.testing import PostHogLocal
from pyconvex.cli import env_local, main

Start = Callable[..., Running]
#: What the first report of a lane may take on a busy machine, in seconds.
PATIENCE_S = 30.0
DEV = ("dev", "--port", "0", "--isolates", "1", "--no-watch", "--json")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (env_local.URL_VARIABLE, env_local.KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def command(*arguments: str, status: int = 0) -> Result:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == status, done.output
    return done


def found(output: str) -> dict[str, list[tuple[str, str]]]:
    """Findings of `doctor --json` by what they are about: level and text of each."""
    findings: dict[str, list[tuple[str, str]]] = {}
    for line in output.splitlines():
        each = json.loads(line)
        findings.setdefault(each["about"], []).append((each["level"], each["text"]))
    return findings


def pytest_here() -> str:
    """What pytest says of the project's own tests."""
    plain = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider"]
    done = subprocess.run(plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_settled(findings: dict[str, list[tuple[str, str]]]) -> bool:
    """Lanes have told how they are, and what was queued has left."""
    lanes = any(about.startswith("lane posthog/") for about in findings)
    return lanes and findings["queue posthog/events"][0][1].startswith("0 rows")


# init


def test_a_new_project_serves_and_passes_mypy(project: Path, running: Start) -> None:
    done = command("init")
    assert done.stdout.splitlines() == [
        "Wrote convex/convex_config.py, convex/messages.py, tests/test_messages.py, .gitignore, "
        "mypy.ini, README.md.",
        "Next: pyconvex dev",
    ]
    dev = running(project, *DEV)
    assert dev.wait_for("deployed") == 2
    command("run", "messages:send", '{"author": "Ada", "body": "hello"}')
    assert '"body": "hello"' in command("run", "messages:latest").stdout
    assert command("data").stdout == "messages\n"
    assert dev.stop() == 0
    mypy = [sys.executable, "-m", "mypy", "--strict", "convex", "tests"]
    checked = subprocess.run(mypy, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert "1 passed" in pytest_here()


def test_nothing_is_overwritten(project: Path) -> None:
    (project / "convex").mkdir()
    (project / "convex" / "messages.py").write_text("mine")
    refused = command("init", status=1).stderr
    assert "Already there: convex/messages.py. Nothing was written." in refused
    assert [file.name for file in project.rglob("*") if file.is_file()] == ["messages.py"]
    (project / "convex" / "messages.py").unlink()
    (project / ".gitignore").write_text("dist/\n.env.local")
    (project / "pyproject.toml").write_text('[project]\nname = "p"\n')
    (project / "README.md").write_text("# Mine")
    command("init", ".")
    assert (project / ".gitignore").read_text() == "dist/\n.env.local\n.pyconvex/\n"
    settings = (project / "pyproject.toml").read_text()
    assert settings.startswith('[project]\nname = "p"\n\n[tool.mypy]\n')
    assert (project / "README.md").read_text().startswith("# Mine\n\n## Backend\n")
    assert not (project / "mypy.ini").exists()
    before = {file: file.read_text() for file in project.rglob("*") if file.is_file()}
    command("init", status=1)
    assert {file: file.read_text() for file in project.rglob("*") if file.is_file()} == before


def test_another_folder(project: Path) -> None:
    assert "Next: cd app && pyconvex dev" in command("init", "app").stdout
    assert (project / "app" / "convex" / "messages.py").exists()


# init --with-posthog, and doctor


def test_with_posthog_to_a_test_event(
    project: Path, running: Start, posthog_local: PostHogLocal
) -> None:
    command("init", "--with-posthog")
    dev = running(project, *DEV)
    assert "POSTHOG_PROJECT_TOKEN" in dev.wait_for("problem")
    local = {"HOST": posthog_local.url, "PROJECT_TOKEN": posthog_local.project_token}
    command("env", "set", *(f"POSTHOG_{name}={value}" for name, value in local.items()))
    dev.wait_for("deployed")
    send = ("run", "messages:send", '{"author": "Ada", "body": "hello"}')
    command(*send)
    posthog_local.wait_for_event("message_sent", distinct_id="Ada", properties={"length": 5})
    command(*send, "--identity", '{"subject": "user-1"}')
    posthog_local.wait_for_event("message_sent", distinct_id="user-1")
    refused = command(*send, "--identity", "user-1", status=2)
    assert 'such as \'{"subject": "ann"}\'' in refused.stderr
    assert "1 passed" in pytest_here()

    deadline = time.monotonic() + PATIENCE_S
    while not is_settled(findings := found(command("doctor", "--json", "--no-send").stdout)):
        assert time.monotonic() < deadline, findings
    done = command("doctor", "--json")
    findings = found(done.stdout)
    assert all(level != "problem" for each in findings.values() for level, _ in each), findings
    (arrived,) = (text for _, text in findings["posthog"] if "a test event arrived" in text)
    event = posthog_local.wait_for_event("pyconvex_doctor_test")
    assert event["uuid"] in arrived
    assert event["properties"]["$process_person_profile"] is False
    ((_, host),) = ((level, text) for level, text in findings["POSTHOG_HOST"])
    assert "set on the deployment; declared by the app, posthog" in host
    assert posthog_local.project_token not in done.output
    assert dev.admin_key not in done.output
    assert findings["deployment"][0][1].endswith("(from .env.local)")
    assert (findings["clock"][0][0], findings["disk"][0][0]) == ("ok", "ok")
    assert any(about.startswith("lane posthog/") for about in findings)
    ((level, waiting),) = findings["queue posthog/events"]
    assert (level, waiting.startswith("0 rows")) == ("ok", True), waiting
    assert findings["setting port"] == [("info", "0 (the command line)")]
    assert findings["setting host"] == [("info", "127.0.0.1 (default)")]
    quiet = command("doctor", "--no-send")
    assert "no test event was sent" in quiet.stdout
    assert "\033" not in quiet.stdout

    # What is wrong is said.
    command("env", "set", "POSTHOG_PROJECT_TOKEN", "phx_0123456789abcdef0123")
    wrong = command("doctor", "--json", status=1)
    assert ("problem",) in {(level,) for level, _ in found(wrong.stdout)["posthog"]}
    assert "POSTHOG_PROJECT_TOKEN holds a secret key" in wrong.stdout
    assert "0123456789abcdef0123" not in wrong.output
    command("env", "set", "POSTHOG_PROJECT_TOKEN", posthog_local.project_token)
    command("env", "set", "POSTHOG_PERSONAL_API_KEY", posthog_local.project_token)
    assert "opens no flag definitions" in command("doctor", "--no-send", status=1).stdout
    (project / ".env.local").chmod(0o644)
    assert "others can read the admin key" in command("doctor", "--no-send", status=1).stdout
    assert dev.stop() == 0


def test_doctor_without_a_deployment(project: Path) -> None:
    done = command("doctor")
    assert "! functions: There is no functions folder" in done.stdout
    assert "! deployment: No deployment is known here" in done.stdout
    assert "✓ Python: 3." in done.stdout
    env_local.write(project, {env_local.URL_VARIABLE: "http://127.0.0.1:9", "X": "y"})
    env_local.write(project, {env_local.KEY_VARIABLE: "local|0123456789abcdef"})
    down = command("doctor", status=1)
    assert "does not answer" in down.stdout
    assert "0123456789abcdef" not in down.output
