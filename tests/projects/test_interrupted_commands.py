"""Ctrl-C while a command is still being imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Ctrl-C, as it comes when a module is about to be imported.
_INTERRUPTED = """
import sys

class Interrupted:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {at!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted)
sys.argv = [{entry!r}, *{arguments!r}]
from {entry} import main
main()
"""


@pytest.mark.parametrize(
    ("entry", "at", "arguments"),
    [
        ("pyconvex_command", "pyconvex.functions", ["dev"]),
        ("pyconvex_command", "click", ["dev"]),
        ("pyconvex_command", "pyconvex.cli.serve", ["dev"]),
        ("posthog_convex.__main__", "click", ["sync", "run"]),
        ("posthog_convex.__main__", "posthog_convex.cli.sync", ["sync", "run"]),
        ("posthog_local.__main__", "click", ["start", "--temp"]),
        ("posthog_local.__main__", "posthog_local.server", ["start", "--temp"]),
    ],
)
def test_it_ends_quietly(entry: str, at: str, arguments: list[str]) -> None:
    program = _INTERRUPTED.format(entry=entry, at=at, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
