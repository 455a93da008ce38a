"""The evaluators of posthog-node and @posthog/convex, driven from Python.

Owns the Node process and the installation of its pinned packages. Never evaluates. One invariant:
definitions and callers go through as JSON, as they would from PostHog and from an app.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parity_worlds import Caller, World

HERE = Path(__file__).parent

#: For each caller, by flag key: value and payload; no entry where the evaluator gives up.
Found = list[dict[str, tuple[Any, Any]]]


def install() -> None:
    """What the lock pins, unless `./run test` has done it."""
    if not (HERE / "node_modules").exists():
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(["npm", "ci", *options], cwd=HERE, check=True, capture_output=True)


class Peers:
    """A running process; `with Peers() as peers`."""

    def __enter__(self) -> Peers:
        install()
        self._process = subprocess.Popen(
            ["node", str(HERE / "peers.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def ask(self, world: World, callers: Sequence[Caller]) -> dict[str, Found]:
        """Every flag for every caller, by peer."""
        question = {
            "definitions": world.answer(),
            "callers": [
                {
                    "distinctId": each.distinct_id,
                    "person": each.person,
                    "groups": each.groups,
                    "groupProperties": each.group_properties,
                }
                for each in callers
            ],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the Node process ended"
        found: dict[str, Found] = json.loads(line)
        return found
