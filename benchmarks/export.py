"""How fast a whole deployment leaves, and what mutations notice of it.

Owns the claim about streaming export: rows a second that the host gives away, and the latency of
mutations meanwhile. The reader throws the rows away: what a consumer does with them is another
claim. Never touches the data while it measures, but for the mutations of that case.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import host, machine, processes
from benchmarks.load import Load, Measured, measure
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import Place, Server, running
from pyconvex.database import Committed, Committer, Transaction
from pyconvex.storage import Store
from pyconvex.values import Int64

CLAIM = (
    "A process beside the server makes pages from stored bytes, so a million documents leave in "
    "seconds, and mutations go on meanwhile."
)
NOTES = [
    "The reader asks for page after page on one connection and throws the rows away. It shares the "
    "two cores with the server and the process that makes the pages.",
    "A document has ten fields and about 330 bytes of JSON. `with Int64 and bytes`: four of its "
    "fields are of types that are stored in another form than they leave.",
    "Mutations: one connection, each reads, changes and inserts a row, durably; beside the export "
    "they share two cores with it.",
]
LINES = "application/x-ndjson"
#: Accounts that mutations change.
ACCOUNTS = 500
#: Documents that one filling transaction inserts.
BATCH = 2_000


def plain(number: int) -> dict[str, Any]:
    return {
        "name": f"customer {number}",
        "email": f"customer{number}@example.com",
        "plan": ("free", "pro", "team")[number % 3],
        "age": float(number % 90),
        "active": number % 2 == 0,
        "balance": number * 1.25,
        "tags": ["new", "mail"],
        "address": {"street": "Long Street 12", "city": "Bonn", "zip": "53111"},
        "note": "x" * 40,
        "referrer": None,
    }


def tagged(number: int) -> dict[str, Any]:
    rest = plain(number)
    return rest | {
        "age": Int64(number),
        "balance": Int64(number * 10**12),
        "referrer": number.to_bytes(8, "big"),
        "note": Int64(-number),
    }


def _fill(folder: Path, table: str, count: int, document: Callable[[int], dict[str, Any]]) -> None:
    store = Store.open(folder)
    committer, reader, random = Committer(store), store.reader(), Random(table)
    for start in range(0, count, BATCH):
        reader.begin()
        tx = Transaction(reader, now_ms=1.7e12 + start, random=random)
        for number in range(start, min(start + BATCH, count)):
            tx.namespace("").insert(table, document(number))
        proposal = tx.proposal()
        reader.end()
        [outcome] = committer.commit([proposal])
        assert isinstance(outcome, Committed)
        if store.log_must_restart:
            store.copy_log()
            store.restart_log()
    reader.close()
    committer.close()
    store.close()


def _server(count: int) -> Server:
    def prepare(place: Place) -> None:
        _fill(place.folder / "data", "customers", count, plain)
        _fill(place.folder / "data", "ledger", count // 4, tagged)

    return Server(
        host.HOST.name,
        host.HOST.command,
        host.HOST.ready_path,
        ready_text=host.HOST.ready_text,
        prepare=prepare,
    )


class Reader:
    """One connection with the admin key."""

    def __init__(self, place: Place) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
        key = (place.folder / "data" / "admin_key").read_text().strip()
        self._headers = {"Authorization": f"Convex {key}", "Content-Type": "application/json"}

    def post(self, path: str, body: dict[str, Any], **headers: str) -> bytes:
        self._connection.request(
            "POST", path, json.dumps(body).encode(), {**self._headers, **headers}
        )
        with self._connection.getresponse() as answer:
            read = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{path} answered {answer.status}: {read[:500]!r}")
            return read

    def pages(self, table: str, *, lines: bool) -> Iterator[tuple[int, int]]:
        """Rows and bytes of each page until it is up to date."""
        selection = {"_other": "excl", "": {"_other": "excl", table: "incl"}}
        body: dict[str, Any] = {"selection": selection}
        while True:
            accept = {"Accept": LINES} if lines else {}
            page = self.post("/api/v1/data/sync", body, **accept)
            told, rows = _told(page, lines=lines)
            yield rows, len(page)
            if told["status"]["type"] == "upToDate":
                return
            body["cursor"] = told["pagination"]["nextCursor"]

    def snapshot(self, table: str) -> Iterator[tuple[int, int]]:
        """The same with the older endpoint."""
        body: dict[str, Any] = {"tableName": table, "format": "export_json"}
        more = True
        while more:
            page = self.post("/api/list_snapshot", body)
            end = json.loads(b"{" + page[page.rindex(b'],"snapshot":') + 2 :])
            yield page.count(b'{"_component":'), len(page)
            body |= {"snapshot": end["snapshot"], "cursor": end["cursor"]}
            more = end["hasMore"]


def _told(page: bytes, *, lines: bool) -> tuple[dict[str, Any], int]:
    """What a page says beside its rows, and how many there are."""
    if lines:
        head = json.loads(page[: page.index(b"\n")])
        return head, sum(block["rows"] for block in head["tables"])
    status = page[: page.index(b',"values":[')]
    rest = page[page.rindex(b'],"syncId":') + 2 :]
    return json.loads(status + b"," + rest), page.count(b'{"component":') - status.count(b'{"com')


def _rate(pages: Iterator[tuple[int, int]], count: int) -> float:
    began = time.perf_counter()
    rows = sum(rows for rows, _ in pages)
    if rows != count:
        raise SystemExit(f"{rows} rows came instead of {count}")
    return rows / (time.perf_counter() - began)


def _mutations(place: Place, requests: Sequence[bytes], seconds: float) -> Measured:
    random = Random(3)
    load = Load(1, seconds)
    return asyncio.run(measure(place.port, load, lambda: random.choice(requests), b'"balance"'))


def _export_until(place: Place, ended: Any, seen: Any) -> None:
    """Export again and again; in a process of its own, or it would slow the load generator."""
    while not ended.is_set():
        for rows, _ in Reader(place).pages("customers", lines=True):
            seen.value += rows
            if ended.is_set():
                return


def _beside_an_export(
    place: Place, requests: Sequence[bytes], seconds: float
) -> tuple[Measured, float]:
    """Mutations while exports run one after the other; and the rows a second of those."""
    spawning = multiprocessing.get_context("spawn")
    ended, seen = spawning.Event(), spawning.Value("q", 0)
    process = spawning.Process(target=_export_until, args=(place, ended, seen))
    process.start()
    while not seen.value:
        time.sleep(0.01)
    before, began = seen.value, time.perf_counter()
    measured = _mutations(place, requests, seconds)
    rate = (seen.value - before) / (time.perf_counter() - began)
    ended.set()
    process.join()
    return measured, rate


def main() -> None:
    quick = options(__doc__).parse_args().quick
    count, rounds, seconds = (20_000, 1, 1.5) if quick else (1_000_000, 3, 10.0)
    about = machine.describe()
    rates: dict[str, list[float]] = {}
    with running(_server(count)) as place:
        reader = Reader(place)
        next(reader.pages("ledger", lines=True))  # the process starts with the first request
        cpu_before = _cpu(place)
        for _ in range(rounds):
            for name, pages, rows in (
                ("lines", reader.pages("customers", lines=True), count),
                ("one JSON object a page", reader.pages("customers", lines=False), count),
                ("lines, with Int64 and bytes", reader.pages("ledger", lines=True), count // 4),
                ("the older snapshot", reader.snapshot("ledger"), count // 4),
            ):
                rates.setdefault(name, []).append(_rate(pages, rows))
        cpu_us = (_cpu(place) - cpu_before) * 1e6 / (rounds * (2 * count + count // 2))
        memory = processes.pss_mb(_children(place))
        requests = host.deposits(place, ACCOUNTS)
        alone = _mutations(place, requests, seconds)
        beside, meanwhile = _beside_an_export(place, requests, seconds)
    cases = [Case(n, "rows/s", True, {OURS: Figure.of(found)}) for n, found in rates.items()]
    cases += [
        Case("processor time of server and export process", "µs a row", False, _one(cpu_us)),
        Case("memory of server and its processes after it", "MB (PSS)", False, _one(memory)),
        Case("lines while mutations run", "rows/s", True, _one(meanwhile)),
    ]
    for name, share in (("median", 0.5), ("99th of 100", 0.99)):
        for when, measured in (("alone", alone), ("beside an export", beside)):
            figure = _one(measured.percentile(share))
            cases.append(Case(f"mutation {when}, {name}", "ms", False, figure))
    result = Result(
        name="export",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions=machine.versions("pyconvex", "apsw", "uvicorn"),
        settings={"documents": f"{count:,} and {count // 4:,}", "rounds": str(rounds)},
        notes=NOTES,
    )
    publish(result, keep=not quick)


def _one(figure: float) -> dict[str, Figure]:
    return {OURS: Figure.of([figure])}


def _children(place: Place) -> list[int]:
    return [pid for pids in processes.kinds(place.pid).values() for pid in pids]


def _cpu(place: Place) -> float:
    return processes.cpu_s(_children(place))


if __name__ == "__main__":
    main()
