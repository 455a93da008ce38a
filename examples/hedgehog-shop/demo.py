"""The demo: one visit to the shop, from sign-up to a price that changes by itself.

Starts PostHog Local and the shop's host on free ports, lets a visitor use the shop through the
official npm client, and prints what PostHog Local knows of the visitor. Every step is checked: one
that fails ends the demo with a sentence and exit status 1.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
FLAG = "discount-campaign"
#: How often the demo's host asks for changed flags, in seconds; production's default is 60.
REFRESH_S = 1
#: How long a step may take before the demo gives up, in seconds.
PATIENCE_S = 30.0
#: What the query that reads the flag reports by itself.
EXPOSURE = "$feature_flag_called"


class DemoError(Exception):
    """A step failed; the message says which and what was seen instead."""


class JsonLines:
    """A child process that speaks JSON lines, read by a thread so that waits have deadlines."""

    def __init__(self, name: str, command: list[str], cwd: Path, log: IO[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            bufsize=1,
            cwd=cwd,
        )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, **command: Any) -> None:
        """Give the process one command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")

    def expect(self, what: str, accept: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line that `accept` takes; others before it are passed over."""
        deadline = time.monotonic() + PATIENCE_S
        seen: list[str] = []
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise DemoError(f"{self.name} ended while the demo waited for {what}.")
            if accept(line):
                return line
            seen.append(json.dumps(line))
        raise DemoError(
            f"{self.name} did not show {what} within {PATIENCE_S:.0f} s; it showed "
            f"{'; '.join(seen[-3:]) or 'nothing'}."
        )

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self._lines.put(json.loads(line))
        self._lines.put(None)


@contextmanager
def running(name: str, command: list[str], folder: Path) -> Iterator[JsonLines]:
    """A child process for as long as the block lasts; what it says is shown if the demo fails."""
    log_path = folder / f"{name}.log"
    with log_path.open("w") as log:
        child = JsonLines(name, command, folder, log)
        try:
            yield child
        except DemoError as error:
            said = log_path.read_text()[-2000:].strip()
            error.add_note(f"{name} said:\n{said}" if said else f"{name} said nothing.")
            raise
        finally:
            child.process.terminate()
            try:
                child.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def main() -> int:
    """Run the demo; 0 when every step did what it should."""
    console = Console(highlight=False)
    if "--script" not in sys.argv[1:]:
        console.print("Only the scripted visit is there yet: ./run demo --script")
        return 2
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hedgehog-")))
            visit(console, stack, folder)
    except DemoError as error:
        complaint = "\n".join([f"The demo stopped: {error}", *getattr(error, "__notes__", ())])
        Console(stderr=True, highlight=False).print(complaint, markup=False)
        return 1
    return 0


def visit(console: Console, stack: ExitStack, folder: Path) -> None:
    """The whole visit; raises `DemoError` at the first step that goes wrong."""
    local = stack.enter_context(
        running(
            "PostHog Local",
            tool("posthog-local", "start", "--json", "--port", "0", "--temp"),
            folder,
        )
    ).expect("its address", lambda line: "url" in line)
    step(console, f"PostHog Local listens at {local['url']}")
    put_flag(local["url"], active=False)

    data = folder / "data"
    host_command = tool(
        "pyconvex", "dev", "--json", "--port", "0", "--data", str(data), "--no-watch",
        "--functions", str(HERE / "convex"),
    )  # fmt: skip
    host_process = stack.enter_context(running("The host", host_command, folder))
    host = host_process.expect("its address", lambda line: "url" in line)
    set_variables(host["url"], folder, local)
    deployed = host_process.expect("the deployed shop", lambda line: "deployed" in line)
    step(console, f"The shop runs at {host['url']} with {deployed['deployed']} functions")

    visitor = stack.enter_context(
        running("The visitor", [node(), str(HERE / "visit.mjs"), host["url"]], folder)
    )
    user_id = call(visitor, "users:sign_up", name="Ada", email="ada@example.com")
    step(console, f"Ada signed up through the official npm client as {user_id}")

    visitor.send(op="watch", path="shop:price", args={"user_id": user_id})
    visitor.expect("the list price", price_is(100))
    step(console, "Ada's open tab shows the price 100, from a query that reads a flag")
    call(visitor, "users:upgrade", user_id=user_id, plan="pro")
    step(console, "A mutation changed Ada's plan, identified her and captured plan_changed")

    put_flag(local["url"], active=True)
    visitor.expect("the discount price", price_is(80))
    step(console, "The flag was edited: the query ran again by itself, the tab shows 80")
    call(visitor, "shop:buy", user_id=user_id)
    refused(visitor, "shop:buy", user_id=user_id, card="0000")
    step(console, "Ada bought one; a second purchase was declined and rolled back")

    arriving = {"signed_up", "plan_changed", "order_placed", EXPOSURE}
    events = timeline(local["url"], user_id, arriving)
    visitor.send(op="close")
    show(console, local["url"], user_id, events)
    check_timeline(events)


def tool(name: str, *arguments: str) -> list[str]:
    """The command line of an installed tool of this environment."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise DemoError(f"{name} is not installed beside {sys.executable}; use ./run demo.")
    return [str(path), *arguments]


def node() -> str:
    """Node's path."""
    found = shutil.which("node")
    if found is None:
        raise DemoError("Node 20 or newer is needed for the visitor's npm client.")
    return found


def set_variables(url: str, folder: Path, local: dict[str, Any]) -> None:
    """What a person would type: `pyconvex env set NAME VALUE`."""
    variables = {
        "POSTHOG_HOST": local["url"],
        "POSTHOG_PERSONAL_API_KEY": local["secret_key"],
        "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": str(REFRESH_S),
        "POSTHOG_PROJECT_TOKEN": local["project_token"],
    }
    for name, value in variables.items():
        done = subprocess.run(
            tool("pyconvex", "env", "set", name, value),
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise DemoError(f"`pyconvex env set {name}` said: {done.stderr.strip()}")


def put_flag(url: str, *, active: bool) -> None:
    """Edit the discount's flag in PostHog Local: when active, everybody gets variant-a."""
    request(
        f"{url}/_local/flags/{FLAG}",
        method="PUT",
        body={"key": FLAG, "active": active, "variants": {"variant-a": 100, "variant-b": 0}},
    )


def call(visitor: JsonLines, path: str, **args: Any) -> Any:
    """Run a mutation through the npm client and return its value."""
    visitor.send(op="mutation", id=path, path=path, args=args)
    line = visitor.expect(f"the result of {path}", lambda line: line.get("id") == path)
    if line["event"] == "refused":
        raise DemoError(f"{path} failed: {line['error']}")
    return line["value"]


def refused(visitor: JsonLines, path: str, **args: Any) -> None:
    """Run a mutation that must fail with application data."""
    visitor.send(op="mutation", id=path, path=path, args=args)
    line = visitor.expect(f"the refusal of {path}", lambda line: line.get("id") == path)
    if line["event"] != "refused" or line["data"] != "The card was declined":
        raise DemoError(f"{path} should have been declined, but it gave {line}.")


def price_is(amount: int) -> Callable[[dict[str, Any]], bool]:
    return lambda line: line.get("path") == "shop:price" and line.get("value") == amount


def timeline(url: str, distinct_id: str, names: set[str]) -> list[dict[str, Any]]:
    """The person's timeline once all of `names` have arrived."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        request(f"{url}/_local/events?distinct_id={distinct_id}&event=order_placed&wait=2")
        entries = request(f"{url}/_local/timeline?distinct_id={distinct_id}")["timeline"]
        if names <= {entry.get("event") for entry in entries}:
            return list(entries)
    raise DemoError(f"PostHog Local never showed all of {sorted(names)} for {distinct_id}.")


def check_timeline(events: list[dict[str, Any]]) -> None:
    """What a person may rely on: everything committed is there once, nothing else is.

    Exposures come by themselves and by a way of their own, so where they stand is not checked.
    """
    names = [entry["event"] for entry in events if entry["event"] != EXPOSURE]
    expected = ["$identify", "signed_up", "$identify", "plan_changed", "order_placed"]
    if names != expected:
        raise DemoError(f"The timeline should be {expected}, but it is {names}.")


def request(url: str, method: str = "GET", body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    call = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - our own http URL
    with urllib.request.urlopen(call, timeout=PATIENCE_S) as answer:  # noqa: S310 - our own http URL
        return json.load(answer)


def step(console: Console, text: str) -> None:
    console.print(f"[green]✓[/green] {text}", soft_wrap=True)


def show(console: Console, url: str, person: str, events: list[dict[str, Any]]) -> None:
    table = Table(title=f"Timeline of {person} in PostHog Local", title_justify="left")
    for column in ("at", "event", "from", "properties"):
        table.add_column(column, overflow="fold")
    for entry in events:
        own = {k: v for k, v in entry["properties"].items() if not k.startswith("$")}
        shown = own or entry["properties"].get("$set") or {}
        table.add_row(
            entry["at"][11:23], entry["event"], entry["source"], json.dumps(shown, sort_keys=True)
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
