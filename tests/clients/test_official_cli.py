"""The official npm CLI, as released, against a deployment of Python functions."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx2
from driving import HERE, PATIENCE_S
from serving import Served

CLI = ("node", "node_modules/convex/bin/main.js")


def cli(served: Served, *arguments: str) -> str:
    """What a command prints; raises when it fails."""
    where = ("--url", served.url, "--admin-key", served.admin_key)
    done = subprocess.run(
        [*CLI, *arguments, *where],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(served: Served, *arguments: str) -> Any:
    return json.loads(cli(served, "run", *arguments))


def test_run_calls_functions_of_every_kind(served: Served, name: str) -> None:
    args = json.dumps({"name": name, "by": 2})
    assert ran(served, "counters:add", args) == 2
    assert ran(served, "counters:secret", json.dumps({"name": name})) == 2


def test_run_acts_as_a_user(served: Served) -> None:
    seen = ran(served, "users:whoami", "--identity", '{"name":"Ann"}')
    assert (seen["name"], seen["issuer"]) == ("Ann", "https://convex.test")


def test_env_set_and_remove(served: Served) -> None:
    value = "a b=c\n🦔"
    cli(served, "env", "set", "A_TEST", value)
    assert variables(served)["A_TEST"] == value
    cli(served, "env", "remove", "A_TEST")
    assert "A_TEST" not in variables(served)


def variables(served: Served) -> dict[str, str]:
    headers = {"Authorization": f"Convex {served.admin_key}"}
    answer = httpx2.get(served.url + "/api/list_environment_variables", headers=headers)
    listed: dict[str, str] = answer.json()["environmentVariables"]
    return listed
