"""A server as a process of its own, which a test may kill."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

DEADLINE_S = 30.0


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [
        *(sys.executable, "-c", "from pyconvex.cli import main; main()", "start", "--json"),
        *("--functions", str(folder / "convex"), "--data", str(folder / "data"), "--port", "0"),
    ]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        said = (json.loads(line) for line in process.stdout)
        yield process, next(fact["url"] for fact in said if "url" in fact)
    finally:
        process.kill()
        process.communicate()


def ask(url: str, kind: str, path: str, **args: Any) -> Any:
    body = json.dumps({"path": path, "args": args, "format": "json"}).encode()
    request = urllib.request.Request(
        f"{url}/api/{kind}", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            said = json.loads(answer.read())
    except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
        raise ConnectionError(str(error)) from None
    assert said["status"] == "success", said
    return said["value"]
