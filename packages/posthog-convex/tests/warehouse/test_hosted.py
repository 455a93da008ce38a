"""A sync that the host runs: what it is told to run, where the key is, and who is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_convex import KEY, FakeConvex
from test_refusals import served

from posthog_convex.cli import main
from posthog_convex.project.companion import COMPANION
from posthog_convex.warehouse.source.deployment import Deployment, HttpSource
from posthog_convex.warehouse.source.retry import Answer
from posthog_convex.warehouse.sync.config import FILE
from posthog_convex.warehouse.sync.runner import Runner, runner_of
from pyconvex.companions import Idle, Program, Project

URL = "http://127.0.0.1:3210"
HERE = (URL, "https://api.example.com")


def wanted(folder: Path, host: str, url: str = URL, urls: tuple[str, ...] = HERE) -> Program | Idle:
    """What a file with this part `[host]` has a host at these addresses run."""
    (folder / FILE).write_text(
        f'[deployment]\nurl = "{url}"\nkey_env = "OUR_KEY"\n'
        f'[destination]\nkind = "duckdb"\npath = "w.duckdb"\n{host}\n'
    )
    return COMPANION.program(Project(folder=folder, urls=urls))


def test_what_a_schedule_has_the_host_run(tmp_path: Path) -> None:
    file = str(tmp_path / FILE)
    watching = wanted(tmp_path, '[host]\nschedule = "watch"')
    assert isinstance(watching, Program)
    assert watching.arguments == ("sync", "watch", "--quiet", "--config", file)
    assert (watching.every_s, watching.key_variable) == (None, "OUR_KEY")
    timed = wanted(tmp_path, '[host]\nschedule = "15m"', "http://localhost:3210/")
    assert isinstance(timed, Program)
    assert (timed.arguments, timed.every_s) == (("sync", "run", "--config", file), 900.0)
    assert isinstance(
        wanted(tmp_path, '[host]\nschedule = "6h"', "https://api.example.com"), Program
    )


@pytest.mark.parametrize(
    ("host", "url", "problem", "reason"),
    [
        ("", URL, False, "has no `schedule` in [host]"),
        ('[host]\nschedule = "watch"', "https://a.convex.cloud", True, "is for https://a.convex."),
        ('[host]\nschedule = "watch"', "http://127.0.0.1:9", True, "were kept out of that"),
        ('[host]\nschedule = "often"', URL, True, 'can be "watch", or how often to run'),
        ('[host]\nevery = "15m"', URL, True, "unknown field `every`"),
    ],
)
def test_what_has_it_run_nothing(
    tmp_path: Path, host: str, url: str, problem: bool, reason: str
) -> None:
    idle = wanted(tmp_path, host, url)
    assert isinstance(idle, Idle)
    assert (idle.problem, reason in idle.reason) == (problem, True), idle.reason


def init(folder: Path, *arguments: str, answers: str = "") -> tuple[int, str]:
    config = ["--config", str(folder / FILE)]
    result = CliRunner(env={"CONVEX_DEPLOY_KEY": "", "CONVEX_SELF_HOSTED_ADMIN_KEY": ""}).invoke(
        main, ["sync", "init", *config, *arguments], input=answers, catch_exceptions=False
    )
    assert KEY not in result.output
    return result.exit_code, result.output


def test_init_in_a_project_finds_address_and_key_and_asks_who_runs_it(tmp_path: Path) -> None:
    fake = FakeConvex()
    fake.ours = True
    with served(fake) as url:
        (tmp_path / ".env.local").write_text(
            f"# ours\nCONVEX_SELF_HOSTED_URL='{url}'\nCONVEX_SELF_HOSTED_ADMIN_KEY='{KEY}'\n"
        )
        status, said = init(tmp_path, answers="\n\n\n\n15m\n")
        assert (status, "Have the host run it?" in said) == (0, True), said
        text = (tmp_path / FILE).read_text()
        assert 'schedule = "15m"' in text
        assert f'url = "{url}"\nkey_env = "CONVEX_SELF_HOSTED_ADMIN_KEY"' in text
        # Its key goes to no other deployment.
        (tmp_path / ".env.local").write_text(
            f"CONVEX_SELF_HOSTED_URL=http://127.0.0.1:1\nCONVEX_SELF_HOSTED_ADMIN_KEY={KEY}\n"
        )
        given = ["--url", url, "--key-env", "CONVEX_SELF_HOSTED_ADMIN_KEY"]
        status, said = init(tmp_path, *given, answers="y\n\n\n")
        assert (status, "holds no key for" in said) == (1, True), said


def test_a_deployment_that_runs_no_companions_is_not_asked_about(tmp_path: Path) -> None:
    with served(FakeConvex()) as url:
        (tmp_path / ".env.local").write_text(
            f"CONVEX_SELF_HOSTED_URL={url}\nCONVEX_SELF_HOSTED_ADMIN_KEY={KEY}\n"
        )
        status, said = init(tmp_path, answers="\n\n\n\n")
    assert (status, "Have the host" in said) == (0, False), said
    assert "schedule" not in (tmp_path / FILE).read_text()
    status, said = init(tmp_path, "--schedule", "sometimes")
    assert (status, 'can be "watch", or how often to run' in said) == (2, True), said


def told(tmp_path: Path, answer: Answer) -> Runner:
    fake = FakeConvex()
    fake.faults = [answer]
    with served(fake) as url:
        source = HttpSource(Deployment(url=url, key=KEY))
        try:
            return runner_of("15m", source)
        finally:
            source.close()


def companion(**fields: object) -> Answer:
    found = {"name": "posthog_sync", "reason": "", "pid": None, "lastLine": "", **fields}
    return Answer(200, json.dumps({"companions": [found], "lanes": []}).encode())


def test_status_says_how_the_host_fares_with_it(tmp_path: Path) -> None:
    assert told(tmp_path, companion(state="running", pid=7)) == Runner(
        "in the host, every 15m: running as process 7"
    )
    broken = companion(state="restarting", reason="it ended with status 1", lastLine="no room")
    warning = told(tmp_path, broken).warning
    assert warning == (
        "the host does not sync (restarting): it ended with status 1; it said last: no room"
    )
    for answer in (Answer(404, b"<html>"), Answer(200, b"{}"), Answer(200, b"[]")):
        assert "this deployment does not run it" in str(told(tmp_path, answer).warning)
    assert "without a key" in runner_of("watch", None).line
    assert runner_of(None, None).line.startswith("when you call it")
