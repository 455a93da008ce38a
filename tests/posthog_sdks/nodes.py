"""An official posthog-node client, driven from Python.

Owns the Node process and the installation of its pinned packages. Knows nothing of PostHog: method
names and arguments go through as they are.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class NodeError(RuntimeError):
    """The client threw, or its process ended."""


class NodeClient:
    """`client.call("capture", {...})` calls that method of posthog-node and gives its result."""

    def __init__(self, token: str, **options: Any) -> None:
        self._process = subprocess.Popen(
            ["node", str(HERE / "node_driver.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE,
        )
        self._exchange({"token": token, "options": options})

    def call(self, method: str, *args: Any) -> Any:
        """The result of one method call, as JSON."""
        return self._exchange({"method": method, "args": args})

    def close(self) -> None:
        """Lets the client flush and shut down."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _exchange(self, message: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise NodeError("the Node process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["value"]


@contextmanager
def node_client(token: str, **options: Any) -> Iterator[NodeClient]:
    """A posthog-node client for the length of the block; it is shut down, and so flushed, after."""
    client = NodeClient(token, **options)
    try:
        yield client
    finally:
        client.close()


def install_npm_packages() -> None:
    """Installs what package-lock.json pins, once."""
    if not (HERE / "node_modules").exists():
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
            cwd=HERE,
            check=True,
        )
