"""Reading one row by its id over HTTP, beside FastAPI.

Owns the claim about point queries: what a query in an isolate costs against an endpoint in a
worker, and what one costs that is answered from memory.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks import host, machine
from benchmarks.contest import Subject, contest
from benchmarks.load import Load
from benchmarks.report import OURS, Result, options, publish
from benchmarks.shop import ACCOUNTS, PEER_WORKERS, SQLALCHEMY, SQLITE3, peer_reads

CLAIM = (
    "A point query costs an isolated, typed, reactive function call, unless its result is still "
    "true; FastAPI answers the same read from an endpoint in its own worker."
)
NOTES = [
    "Every request asks for a row chosen at random among so many that our host seldom remembers "
    "the result; the load generator shares the two cores with the servers, for every subject "
    "alike.",
    "Ours runs the query in an isolate, a process of its own, records what it read and could push "
    "changes of it; the peers do neither.",
    "In the last cases every request asks for one of a hundred rows, so that our host answers from "
    "memory after the first time: it has their results, and would notice a change.",
]
#: Rows that are asked for so often that our host remembers the results.
REMEMBERED = 100
SUBJECTS = [
    Subject(OURS, host.HOST, host.reads, b'"email"'),
    Subject(SQLALCHEMY.name, SQLALCHEMY, peer_reads, b'"email"'),
    Subject(SQLITE3.name, SQLITE3, peer_reads, b'"email"'),
]
AGAIN = [
    Subject(OURS, host.HOST, lambda place: host.reads(place, REMEMBERED), b'"email"'),
    *(replace(peer, requests=lambda p: peer_reads(p)[:REMEMBERED]) for peer in SUBJECTS[1:]),
]


def main() -> None:
    quick = options(__doc__).parse_args().quick
    seconds, rounds = (1.5, 1) if quick else (5.0, 3)
    loads = [Load(1, seconds), Load(32, seconds)]
    about = machine.describe()
    cases = contest(SUBJECTS, loads, rounds=rounds)
    again = contest(AGAIN, loads, rounds=rounds)
    cases += [replace(case, name=f"the same {REMEMBERED} rows, {case.name}") for case in again]
    result = Result(
        name="point_queries",
        claim=CLAIM,
        cases=cases,
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
