"""`pyconvex env` and `pyconvex run` against a running deployment."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_process import APP, Running
from click.testing import CliRunner, Result

from pyconvex.cli import env_local, main
from pyconvex.cli.deployment import Deployment

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "convex").mkdir()
    (folder / "convex" / "lib.py").write_text(APP)
    running = Running(folder, "dev", "--port", "0", "--no-watch", "--isolates", "1", "--json")
    try:
        running.wait_for("deployed")
        yield running
        assert running.stop() == 0
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def _no_deployment_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (env_local.URL_VARIABLE, env_local.KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command(deployment: Running, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(deployment.folder)

    def command(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == status, result.output
        assert deployment.admin_key not in result.output
        return result

    return command


# Variables


def test_variables_are_set_shown_and_removed(command: Command) -> None:
    assert command("env", "set", "TOKEN", "a b=c").stdout == "Set TOKEN.\n"
    assert command("env", "set", "OTHER=x=y").stdout == "Set OTHER.\n"
    assert command("env", "get", "TOKEN").stdout == "a b=c\n"
    assert command("env", "list").stdout == "OTHER=x=y\nTOKEN=a b=c\n"
    assert command("run", "lib:token").stdout == '"a b=c"\n'
    assert command("env", "set", "TOKEN=1", "OTHER=").stdout == "Set TOKEN, OTHER.\n"
    assert command("env", "list").stdout == "OTHER=\nTOKEN=1\n"
    for name in ("TOKEN", "OTHER"):
        assert command("env", "remove", name).stdout == f"Removed {name}.\n"
    assert command("env", "list").stdout == ""
    assert "TOKEN was not set" in command("env", "remove", "TOKEN").stdout
    assert command("run", "lib:token").stdout == "null\n"


def test_what_of_variables_can_not_be(command: Command) -> None:
    unset = command("env", "get", "NOPE", status=1)
    assert "NOPE is not set. Set it with: pyconvex env set NOPE VALUE" in unset.stderr
    assert unset.stdout == ""
    assert (
        "not a valid environment variable name"
        in command("env", "set", "A-B", "x", status=1).stderr
    )
    assert (
        "Give a value: pyconvex env set NAME VALUE" in command("env", "set", "A", status=2).stderr
    )
    assert "'B' is not NAME=VALUE" in command("env", "set", "A=1", "B", status=2).stderr
    assert "nothing was set" in command("env", "set", "A", "1", "2", status=2).stderr
    assert command("env", "list").stdout == ""


def test_variables_from_standard_input_and_from_a_file(
    deployment: Running, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(deployment.folder)
    piped = CliRunner().invoke(main, ["env", "set", "TOKEN"], input="two\nlines\n")
    assert piped.stdout == "Set TOKEN.\n", piped.output
    assert command("env", "get", "TOKEN").stdout == "two\nlines\n"
    file = deployment.folder / "some.env"
    file.write_text("# one\nTOKEN='a b'\nOTHER=1\n")
    assert command("env", "set", "--from-file", str(file)).stdout == "Set TOKEN, OTHER.\n"
    assert command("env", "list").stdout == "OTHER=1\nTOKEN=a b\n"
    file.write_text("FINE=1\nA-B=2\n")
    assert "not a valid" in command("env", "set", "--from-file", str(file), status=1).stderr
    file.write_bytes(b"\xff=1")
    assert "not UTF-8" in command("env", "set", "--from-file", str(file), status=1).stderr
    file.write_text("nothing")
    assert "nothing was set" in command("env", "set", "--from-file", str(file), status=1).stderr
    assert "either a name or" in command("env", "set", status=2).stderr
    for name in ("TOKEN", "OTHER"):
        command("env", "remove", name)
    assert command("env", "list").stdout == ""


# Functions


def test_a_function_is_run_with_its_lines_on_standard_error(command: Command) -> None:
    result = command("run", "lib:hello", '{"name": "Ada"}')
    assert (result.stdout, result.stderr) == ('"hello Ada"\n', "[LOG] 'greeting Ada'\n")
    assert command("run", "lib:hidden", '{"n": 2}').stdout == "2.0\n"
    identity = '{"issuer": "https://i", "subject": "ada"}'
    assert command("run", "lib:who", "--identity", identity).stdout == '"ada"\n'


def test_a_function_that_fails(command: Command) -> None:
    failed = command("run", "lib:fail", status=1)
    assert failed.stdout == ""
    assert 'Uncaught ConvexError: {"code":"NO"}' in failed.stderr
    assert "Could not find function for 'lib:nope'" in command("run", "lib:nope", status=1).stderr
    assert "is not a path" in command("run", "lib:not a path", status=1).stderr
    assert "ArgumentValidationError" in command("run", "lib:hello", '{"x": 1}', status=1).stderr
    assert "not JSON" in command("run", "lib:hello", "{name: 1}", status=2).stderr
    assert "one JSON object, such as" in command("run", "lib:hello", "[1]", status=2).stderr


def test_a_call_that_is_waited_for_no_longer(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Deployment, "call", interrupted)
    assert "The function may go on to its end" in command("run", "lib:hello", status=130).stderr


# Where the deployment is


def test_no_deployment_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["env", "list"])
    assert result.exit_code == 1
    assert "No deployment is known here: .env.local names none. Run `pyconvex dev`" in result.stderr


def test_the_environment_goes_before_the_file(
    deployment: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_local.write(tmp_path, {env_local.URL_VARIABLE: "http://127.0.0.1:9", "CONVEX_X": "y"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        env_local.URL_VARIABLE, env_local.read(deployment.folder)[env_local.URL_VARIABLE] + "/"
    )
    monkeypatch.setenv(env_local.KEY_VARIABLE, deployment.admin_key)
    assert CliRunner().invoke(main, ["run", "lib:hello"]).exit_code == 0
    monkeypatch.setenv(env_local.KEY_VARIABLE, "local|0123456789abcdef")
    refused = CliRunner().invoke(main, ["run", "lib:hello"])
    assert refused.exit_code == 1
    assert "0123456789abcdef" not in refused.output


def test_the_files_key_is_for_the_files_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_local.write(
        tmp_path, {env_local.URL_VARIABLE: "http://here", env_local.KEY_VARIABLE: "local|01ab"}
    )
    monkeypatch.chdir(tmp_path)
    for address in ("http://here", "http://here/"):
        monkeypatch.setenv(env_local.URL_VARIABLE, address)
        assert Deployment.find().admin_key == "local|01ab"
    monkeypatch.setenv(env_local.URL_VARIABLE, "http://elsewhere")
    refused = CliRunner().invoke(main, ["env", "list"])
    assert refused.exit_code == 1
    assert "The admin key of http://elsewhere is not known" in refused.stderr
    monkeypatch.setenv(env_local.KEY_VARIABLE, "other|02cd")
    found = Deployment.find()
    assert (found.admin_key, found.origin) == ("other|02cd", "the environment")


def test_a_deployment_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "local|secret0123"
    env_local.write(
        tmp_path, {env_local.URL_VARIABLE: "http://127.0.0.1:9", env_local.KEY_VARIABLE: key}
    )
    monkeypatch.chdir(tmp_path)
    for arguments in (["env", "list"], ["run", "lib:hello"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert "The deployment at http://127.0.0.1:9 does not answer" in result.stderr
        assert key not in result.output


@pytest.mark.parametrize("module", ["counted", "run", "findings", "typescript.types"])
def test_doctests(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"pyconvex.cli.{module}"))
    assert (failed, tried > 0) == (0, True)
