"""A table of a million documents into DuckDB, beside a plain dlt REST source on the same host.

Owns the claims about the warehouse sync: rows a second decoded and end to end, memory, and how soon
a change is visible while watching. Subjects run one after the other, each in a process of its own,
against one server; reader and server share the machine's cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import ROOT, Place, Server, running
from benchmarks.warehouse_orders import fill

CLAIM = (
    "A table goes from the host into a DuckDB file faster than through a plain dlt source, in "
    "memory that does not grow with the table, and a change is there moments after its commit."
)
NOTES = [
    "Decoded: pages over HTTP to typed Arrow batches, counted by the reader's processor time from "
    "bytes to batches. End to end: from the first request to the closed file, with the server's "
    "work for it, by the clock.",
    "dlt REST: a dlt resource that asks the same endpoint for the same pages and yields each "
    "document as a dict, merged by `_id` into a DuckDB file, with Parquet between, dlt's fastest.",
    "Memory: the largest resident set of the reader's process; two lines more are the same sync of "
    "smaller tables.",
    "Visible: from the answer to a mutation of 1,000 inserts until another process reads them from "
    "the DuckDB file, while `watch` runs; the reader opens the file every 20 ms.",
]
DLT = "dlt REST"
DELTA = 1_000
DELTAS = 7


def _command(place: Place) -> list[str]:
    return [
        *(str(Path(sys.executable).with_name("pyconvex")), "start"),
        *("--functions", str(ROOT / "benchmarks" / "warehouse_functions")),
        *("--data", str(place.folder / "data"), "--port", str(place.port), "--site-port", "0"),
    ]


def _server(documents: int) -> Server:
    return Server(
        "pyconvex",
        _command,
        "/api/query?path=orders:ready&args=%7B%7D&format=json",
        ready_text=b'"success"',
        environment={"PYTHONPATH": str(ROOT)},
        prepare=lambda place: fill(place.folder / "data", documents),
        ready_within_s=300.0,
    )


# --- Subjects, each in a process of its own ------------------------------------------------------


def _decode(url: str, folder: Path) -> dict[str, float]:
    """Every page, decoded and thrown away."""
    from posthog_convex.warehouse.documents.columns import Schema
    from posthog_convex.warehouse.documents.decoding import decode
    from posthog_convex.warehouse.source.deployment import Deployment, HttpSource
    from posthog_convex.warehouse.source.steps import SyncPosition, request, step
    from posthog_convex.warehouse.tables.selection import Selection

    source = HttpSource(Deployment(url=url, key=os.environ["CONVEX_DEPLOY_KEY"]))
    position, schema, rows, spent = SyncPosition(), Schema(), 0, 0.0
    while True:
        answer = source.ask(request(position, Selection()))
        began = time.process_time()
        page = step(position, answer.body, Selection())
        for revisions in page.revisions.values():
            table, schema = decode(revisions, schema)
            rows += table.num_rows
        spent += time.process_time() - began
        assert isinstance(page.position, SyncPosition)
        position = page.position
        if page.idle:
            source.close()
            return {"rows": rows, "seconds": spent}


def _ours(url: str, folder: Path) -> dict[str, float]:
    """The sync into a DuckDB file."""
    driver, destination = _driver(url, folder)
    began = time.monotonic()
    progress = driver.run()
    destination.close()
    return {"rows": progress.rows, "seconds": time.monotonic() - began}


def _driver(url: str, folder: Path) -> tuple[Any, Any]:
    from posthog_convex.warehouse.source.deployment import HttpSource
    from posthog_convex.warehouse.sync import opening
    from posthog_convex.warehouse.sync.config import Config, DeploymentPart, DestinationPart

    config = Config(
        deployment=DeploymentPart(url=url),
        destination=DestinationPart(kind="duckdb", path=str(folder / "w.duckdb")),
    )
    destination = opening.destination_of(config.destination)
    source = HttpSource(opening.deployment_of(config.deployment, os.environ, folder))
    return opening.driver_of(config, source, destination), destination


def _dlt(url: str, folder: Path) -> dict[str, float]:
    """What somebody writes in ten minutes: the pages of the endpoint, as dicts, merged by `_id`."""
    os.environ |= {"DLT_DATA_DIR": str(folder), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    import dlt
    from dlt.sources.helpers.rest_client.client import RESTClient

    client = RESTClient(
        base_url=url, headers={"Authorization": f"Convex {os.environ['CONVEX_DEPLOY_KEY']}"}
    )
    rows = 0

    @dlt.resource(name="orders", primary_key="_id", write_disposition="merge", max_table_nesting=0)
    def orders() -> Iterator[list[dict[str, Any]]]:
        nonlocal rows
        asked: dict[str, Any] = {}
        while True:
            page = client.post("/api/v1/data/sync", json=asked).json()
            found = [row["value"] for row in page["values"]]
            rows += len(found)
            yield found
            if page["status"]["type"] == "upToDate":
                return
            asked = {"cursor": page["pagination"]["nextCursor"]}

    began = time.monotonic()
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
        dataset_name="bench",
    )
    pipeline.run(orders(), loader_file_format="parquet").raise_on_failed_jobs()
    return {"rows": rows, "seconds": time.monotonic() - began}


def _watch(url: str, folder: Path) -> dict[str, float]:
    """Follow until the parent ends it."""
    from posthog_convex.warehouse.sync import watch

    driver, _ = _driver(url, folder)
    for _ in watch.rounds(driver, poll_interval_s=1.0, pause=time.sleep, trouble=print):
        pass
    return {}


SUBJECTS: dict[str, Callable[[str, Path], dict[str, float]]] = {
    "decode": _decode,
    "ours": _ours,
    "dlt": _dlt,
    "watch": _watch,
}


def _subject(name: str, url: str, folder: str) -> None:
    found = SUBJECTS[name](url, Path(folder))
    print(json.dumps({**found, "peak_mib": _peak_mib()}))


def _peak_mib() -> float:
    """This process's own peak; what `getrusage` says begins at that of the parent."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _run(name: str, place: Place) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        done = subprocess.run(
            _argv(name, place, folder),
            cwd=ROOT,
            env=_environment(place),
            stdout=subprocess.PIPE,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {name}: {found['rows']:,.0f} rows in {found['seconds']:.1f} s", flush=True)
    return found


def _argv(name: str, place: Place, folder: str) -> list[str]:
    subject = ["--subject", name, "--url", f"http://{place.host}", "--folder", folder]
    return [sys.executable, "-m", "benchmarks.warehouse", *subject]


def _environment(place: Place) -> dict[str, str]:
    key = (place.folder / "data" / "admin_key").read_text().strip()
    return {**os.environ, "CONVEX_DEPLOY_KEY": key}


# --- How soon a change is there ------------------------------------------------------------------


def _visible(place: Place, documents: int) -> list[float]:
    """Seconds from each mutation's answer until a reader of the file finds its rows."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        watching = subprocess.Popen(
            _argv("watch", place, folder), cwd=ROOT, env=_environment(place)
        )
        try:
            path, held = Path(folder) / "w.duckdb", documents
            _until(path, held, 600.0)
            seconds = []
            for _ in range(DELTAS):
                _add(place, held)
                committed = time.monotonic()
                held += DELTA
                _until(path, held, 60.0)
                seconds.append(time.monotonic() - committed)
        finally:
            watching.kill()
            watching.wait()
    return seconds


def _add(place: Place, first: int) -> None:
    arguments = {"first": first, "count": DELTA}
    body = json.dumps({"path": "orders:add", "args": arguments, "format": "json"}).encode()
    asked = urllib.request.Request(
        f"http://{place.host}/api/mutation", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:
        assert b'"success"' in answer.read()


def _until(path: Path, rows: int, patience_s: float) -> None:
    import duckdb

    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        with contextlib.suppress(duckdb.Error), duckdb.connect(str(path), read_only=True) as file:
            found = file.execute("SELECT count(*) FROM orders").fetchone()
            if found is not None and found[0] >= rows:
                return
        time.sleep(0.02)
    raise SystemExit(f"{rows:,} rows were not in the file after {patience_s:.0f} s")


# --- The run -------------------------------------------------------------------------------------


def main() -> None:
    arguments = _arguments()
    if arguments.subject:
        _subject(arguments.subject, arguments.url, arguments.folder)
        return
    documents = arguments.documents or (50_000 if arguments.quick else 1_000_000)
    rounds = 1 if arguments.quick else 3
    about = machine.describe()
    print(f"  filling a data folder with {documents:,} documents", flush=True)
    with running(_server(documents)) as place:
        found = {
            name: [_run(name, place) for _ in range(rounds)] for name in ("decode", "ours", "dlt")
        }
        seconds = _visible(place, documents)
    smaller = {}
    for size in (documents // 10, documents * 3 // 10):
        with running(_server(size)) as place:
            smaller[size] = [_run("ours", place)]
    result = Result(
        name="warehouse",
        claim=CLAIM,
        cases=_cases(found, smaller, seconds),
        machine=about,
        versions=machine.versions("pyconvex", "duckdb", "pyarrow", "dlt"),
        settings={"documents": f"{documents:,}", "rounds": str(rounds)},
        notes=NOTES,
    )
    publish(result, keep=not arguments.quick and not arguments.documents)


def _arguments() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--documents", type=int, help="another size; keeps no result")
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _cases(
    found: dict[str, list[dict[str, float]]],
    smaller: dict[int, list[dict[str, float]]],
    seconds: list[float],
) -> list[Case]:
    def rate(name: str) -> Figure:
        return Figure.of([run["rows"] / run["seconds"] for run in found[name]])

    def peak(runs: list[dict[str, float]]) -> Figure:
        return Figure.of([run["peak_mib"] for run in runs])

    return [
        Case("end to end into DuckDB", "rows/s", True, {OURS: rate("ours"), DLT: rate("dlt")}),
        Case("memory", "MiB", False, {OURS: peak(found["ours"]), DLT: peak(found["dlt"])}),
        Case("decoded", "rows/s", True, {OURS: rate("decode")}),
        *(
            Case(f"memory, {size:,} documents", "MiB", False, {OURS: peak(runs)})
            for size, runs in smaller.items()
        ),
        Case("1,000 rows visible", "s", False, {OURS: Figure.of(seconds)}),
    ]


if __name__ == "__main__":
    main()
