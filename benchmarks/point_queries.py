"""Reading one row by its id over HTTP, beside FastAPI.

Owns the claim about point queries: what a query in an isolate costs against an endpoint in a
worker.
"""

from __future__ import annotations

from benchmarks import host, machine
from benchmarks.contest import Subject, contest
from benchmarks.load import Load
from benchmarks.report import OURS, Result, options, publish
from benchmarks.shop import ACCOUNTS, PEER_WORKERS, SQLALCHEMY, SQLITE3, peer_reads

CLAIM = (
    "A point query costs an isolated, typed, reactive function call; FastAPI answers the same read "
    "from an endpoint in its own worker."
)
NOTES = [
    "Every request asks for a row chosen at random among so many that our host seldom remembers "
    "the result; the load generator shares the two cores with the servers, for every subject "
    "alike.",
    "Ours runs the query in an isolate, a process of its own, records what it read and could push "
    "changes of it; the peers do neither.",
]
SUBJECTS = [
    Subject(OURS, host.HOST, host.reads, b'"email"'),
    Subject(SQLALCHEMY.name, SQLALCHEMY, peer_reads, b'"email"'),
    Subject(SQLITE3.name, SQLITE3, peer_reads, b'"email"'),
]


def main() -> None:
    quick = options(__doc__).parse_args().quick
    seconds, rounds = (1.5, 1) if quick else (5.0, 3)
    loads = [Load(1, seconds), Load(32, seconds)]
    about = machine.describe()
    result = Result(
        name="point_queries",
        claim=CLAIM,
        cases=contest(SUBJECTS, loads, rounds=rounds),
        machine=about,
        versions=machine.versions("pyconvex", "fastapi", "sqlalchemy", "uvicorn", "apsw"),
        settings={
            "rows": str(ACCOUNTS),
            "workers of each peer": str(PEER_WORKERS),
            "seconds": str(seconds),
            "rounds": str(rounds),
        },
        notes=NOTES,
    )
    publish(result, keep=not quick)


if __name__ == "__main__":
    main()
