"""Writing two rows in one durable transaction over HTTP, beside FastAPI.

Owns the claim about durable mutations: an answer means that the write is on the disk, for every
subject, and ours shares one sync among all commits that wait for it.
"""

from __future__ import annotations

from benchmarks import host, machine
from benchmarks.contest import Subject, contest
from benchmarks.load import Load
from benchmarks.report import OURS, Result, options, publish
from benchmarks.shop import ACCOUNTS, PEER_WORKERS, SQLALCHEMY, SQLITE3, peer_deposits

CLAIM = (
    "A mutation reads an account, changes its balance and inserts an entry with an index, and is "
    "answered once that is durable. The peers sync at each commit (`synchronous=FULL`); our host "
    "syncs once for all commits that wait."
)
NOTES = [
    "Every request takes one of the accounts at random. The load generator shares the two cores "
    "with the servers, for every subject alike.",
    "A sync takes the median times below on this disk; the slower it is, the more a shared one is "
    "worth. A log that grows costs more than one that is written over: the warm-up is long enough "
    "for the peers' logs to have reached their size (1,000 pages).",
]
#: Seconds of the same load before anything is counted.
WARMUP_S = 3.0
SUBJECTS = [
    Subject(OURS, host.HOST, host.deposits, b'"balance"'),
    Subject(SQLALCHEMY.name, SQLALCHEMY, peer_deposits, b'"balance"'),
    Subject(SQLITE3.name, SQLITE3, peer_deposits, b'"balance"'),
]


def main() -> None:
    quick = options(__doc__).parse_args().quick
    seconds, rounds = (1.5, 1) if quick else (5.0, 5)
    loads = [Load(1, seconds, WARMUP_S), Load(32, seconds, WARMUP_S)]
    growing, inside = machine.sync_ms(growing=True), machine.sync_ms(growing=False)
    about = machine.describe()
    result = Result(
        name="durable_mutations",
        claim=CLAIM,
        cases=contest(SUBJECTS, loads, rounds=rounds),
        machine=about,
        versions=machine.versions("pyconvex", "fastapi", "sqlalchemy", "uvicorn", "apsw"),
        settings={
            "accounts": str(ACCOUNTS),
            "workers of each peer": str(PEER_WORKERS),
            "sync of 4 KiB": f"{growing:.2f} ms as a file grows, {inside:.2f} ms inside it",
            "seconds": str(seconds),
            "rounds": str(rounds),
        },
        notes=NOTES,
    )
    publish(result, keep=not quick)


if __name__ == "__main__":
    main()
