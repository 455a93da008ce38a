"""The command: what it prints, how it stops, and what it says when it cannot start."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from posthog_local.testing import ServerDidNotStart, running

_COMMAND = [sys.executable, "-m", "posthog_local"]


def fails(*arguments: str) -> str:
    done = subprocess.run(
        [*_COMMAND, "start", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_what_started_and_stops_cleanly(number: int) -> None:
    process = subprocess.Popen(
        [*_COMMAND, "start", "--temp", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(number)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 0
    assert "is ready at http://127.0.0.1:" in first
    (line,) = (line for line in rest.splitlines() if "pyconvex env set" in line)
    assert re.fullmatch(
        r"  pyconvex env set POSTHOG_HOST=http://127\.0\.0\.1:\d+ "
        r"POSTHOG_PROJECT_TOKEN=phc_[\w-]+ POSTHOG_PERSONAL_API_KEY=phs_[\w-]+",
        line,
    )


def test_keys_stay_with_the_folder(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "folder"
    with running(data=data) as first:
        keys = (first.project_token, first.secret_key)
        assert (data / ".gitignore").read_text() == "*\n"  # there is a secret in it
    with running(data=data) as second:
        assert (second.project_token, second.secret_key) == keys
    with running(data=data, arguments=["--token", "phc_mine"]) as third:
        assert third.project_token == "phc_mine"


def test_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = fails("--temp", "--port", str(taken.getsockname()[1]))
    assert "Address already in use" in said
    assert "--port" in said


def test_a_file_where_the_folder_should_be_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "Choose another with --data" in fails("--data", str(file / "inside"), "--port", "0")


def test_a_folder_in_use_is_a_sentence(tmp_path: Path) -> None:
    with running(data=tmp_path):
        assert "another PostHog Local" in fails("--data", str(tmp_path), "--port", "0")


def test_damaged_keys_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    assert "keys.json" in fails("--data", str(tmp_path), "--port", "0")


def test_the_helper_repeats_what_the_server_said() -> None:
    with (
        pytest.raises(ServerDidNotStart, match="cannot listen"),
        running(arguments=["--host", "203.0.113.1"]),
    ):
        pass


def test_events_are_followed_and_data_is_reset() -> None:
    with running() as local:
        process = subprocess.Popen(
            [*_COMMAND, "events", "--follow", "--json", "--url", local.url],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            subprocess.run([sys.executable, "-c", _SEND, local.url], check=True, timeout=30)
            assert json.loads(process.stdout.readline())["event"] == "followed"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.stdout.close()
            process.wait(60)
        done = subprocess.run(
            [*_COMMAND, "reset", "--yes", "--url", local.url], timeout=30, check=False
        )
        assert done.returncode == 0
        assert local.events() == []
        none = subprocess.run(
            [*_COMMAND, "events", "--url", local.url], capture_output=True, text=True, timeout=30
        )
        assert (none.returncode, none.stdout) == (0, "")
        assert none.stderr.startswith("No events to show yet.")


_SEND = """
import sys, urllib.request
body = b'{"api_key":"phc_a","event":"followed","distinct_id":"u"}'
urllib.request.urlopen(sys.argv[1] + "/e/", body).close()
"""
