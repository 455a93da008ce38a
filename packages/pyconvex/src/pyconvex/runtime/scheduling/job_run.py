"""What a run does to the job that it is.

Owns the two moments of a mutation that was scheduled or that a cron job runs: before the function
the job is found to be still due, after it the job is done. Both are part of the run's transaction.
One invariant: the function's writes and the job's end commit together or not at all, so a mutation
takes effect exactly once.
"""

from __future__ import annotations

from typing import Final

from pyconvex.database import Transaction, jobs
from pyconvex.runtime.calls import JobRef
from pyconvex.runtime.scheduling import cron_jobs

#: The result of a run that found nothing to do.
NOTHING: Final = b"null"


def begin(tx: Transaction, job: JobRef) -> bool:
    """Begin the job; False when somebody has done or canceled it, and nothing must run."""
    if job.kind == "cron":
        return cron_jobs.begin(tx, job.id)
    return jobs.begin(tx, job.home, job.id)


def succeed(tx: Transaction, job: JobRef, result: bytes, log_lines: list[str]) -> None:
    """End the job with the function's result."""
    if job.kind == "cron":
        cron_jobs.end(tx, job.id, cron_jobs.succeeded(result), log_lines, tx.now_ms)
    else:
        jobs.succeed(tx, job.home, job.id, tx.now_ms)
