"""How long a change takes to be in force, and what a server holds in memory, also after many.

Owns the claims about reload time and memory. Memory is proportional (PSS): pages that several
processes share count for each by its share, so the kinds of processes add up.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks import machine, processes
from benchmarks.cost_of_a_call import body
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import ROOT, Place, Server, running

CLAIM = (
    "A saved file is in force after a quarter of a second of processor time, and a hundred deploys "
    "leave no process behind."
)
NOTES = [
    "Reload: from the save of one file until the deploy is told, the watcher's wait included. Its "
    "processor time: what the server, the new template and its isolates used; on a machine with "
    "nothing else to do, a reload takes about as long. First call: on a new connection, right "
    "after.",
    "Idle memory: two isolates that have each run a hundred queries and mutations.",
]
WITHIN_S = 60.0


def _prepare(place: Place) -> None:
    shutil.copytree(ROOT / "benchmarks" / "cost_functions", place.folder / "convex")


def _command(place: Place) -> list[str]:
    return [
        *(str(Path(sys.executable).with_name("pyconvex")), "dev", "--json", "--no-codegen"),
        *("--functions", str(place.folder / "convex")),
        *("--data", str(place.folder / "data"), "--port", str(place.port), "--site-port", "0"),
    ]


SERVER = Server(
    "pyconvex",
    _command,
    "/api/query?path=calls:ready&args=%7B%7D&format=json",
    ready_text=b'"success"',
    environment={"PYTHONPATH": str(ROOT)},
    prepare=_prepare,
)


def _call(place: Place, kind: str, path: str, n: float) -> float:
    """Make one call; the milliseconds that it took."""
    began = time.perf_counter()
    asked = urllib.request.Request(
        f"http://{place.host}/api/{kind}",
        body(path, {"n": n}),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=WITHIN_S) as answer:
        if b'"success"' not in answer.read():
            raise SystemExit(f"{path} failed")
    return (time.perf_counter() - began) * 1000


def _deploys(place: Place) -> list[float]:
    """The seconds that each deploy so far took, as the server tells."""
    lines = (place.folder / "server.log").read_text().splitlines()
    return [
        float(line.split('"seconds": ')[1].rstrip("}")) for line in lines if '"deployed"' in line
    ]


def _reload(place: Place, serial: int) -> tuple[float, float, float, float]:
    """Save a file; milliseconds until it is in force, of its deploy, of the processor, and of the
    first call.
    """
    before = len(_deploys(place))
    cpu_before = processes.cpu_s([place.pid])
    calls = place.folder / "convex" / "calls.py"
    began = time.perf_counter()
    calls.write_text(calls.read_text() + f"\nSERIAL = {serial}\n")
    while len(told := _deploys(place)) == before:
        if time.perf_counter() - began > WITHIN_S:
            raise SystemExit("the change was never deployed")
        time.sleep(0.005)
    reload_ms = (time.perf_counter() - began) * 1000
    first_call_ms = _call(place, "query", "calls:empty", -serial)
    _settle(place)
    kinds = processes.kinds(place.pid)
    new = [pid for kind in ("template", "isolates") for pid in kinds[kind]]
    cpu_ms = (processes.cpu_s([place.pid]) - cpu_before + processes.cpu_s(new)) * 1000
    return reload_ms, told[-1] * 1000, cpu_ms, first_call_ms


def _settle(place: Place, count: int = 1) -> None:
    """Wait until only `count` templates are left: earlier ones end in the background."""
    deadline = time.perf_counter() + WITHIN_S
    while len(processes.kinds(place.pid).get("template", ())) > count:
        if time.perf_counter() > deadline:
            raise SystemExit("processes of an earlier deploy are left")
        time.sleep(0.05)


def main() -> None:
    quick = options(__doc__).parse_args().quick
    deploys = 5 if quick else 100
    about = machine.describe()
    memory: dict[str, float] = {}
    with running(SERVER) as place:
        numbers = itertools.count()
        for _ in range(200):
            _call(place, "query", "calls:empty", next(numbers))
            _call(place, "mutation", "calls:insert", next(numbers))
        kinds = processes.kinds(place.pid)
        memory["idle: server, template, two isolates"] = _sum(
            kinds, "server", "template", "isolates"
        )
        for kind in ("server", "template", "isolates", "lanes"):
            memory[f"idle: {kind}"] = _sum(kinds, kind)
        memory["idle: with the lane process"] = sum(map(processes.pss_mb, kinds.values()))
        _call(place, "action", "calls:empty_action", 1)
        memory["with an action isolate and the lane process"] = sum(
            map(processes.pss_mb, processes.kinds(place.pid).values())
        )
        rounds = [_reload(place, serial) for serial in range(deploys)]
        _settle(place)
        kinds = processes.kinds(place.pid)
        memory[f"after {deploys} deploys: server, template, two isolates"] = _sum(
            kinds, "server", "template", "isolates"
        )
        memory[f"after {deploys} deploys: server"] = _sum(kinds, "server")
    times = {
        "reload, from save to in force": [r[0] for r in rounds],
        "reload, the deploy itself": [r[1] for r in rounds],
        "reload, processor time": [r[2] for r in rounds],
        "first call after a deploy": [r[3] for r in rounds],
    }
    cases = [Case(n, "ms", False, {OURS: Figure.of(ms)}) for n, ms in times.items()]
    cases += [Case(n, "MB (PSS)", False, {OURS: Figure.of([mb])}) for n, mb in memory.items()]
    result = Result(
        name="deploys",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions=machine.versions("pyconvex", "watchfiles", "uvloop"),
        settings={"deploys": str(deploys)},
        notes=NOTES,
    )
    publish(result, keep=not quick)


def _sum(kinds: dict[str, list[int]], *names: str) -> float:
    return sum(processes.pss_mb(kinds.get(name, [])) for name in names)


if __name__ == "__main__":
    main()
