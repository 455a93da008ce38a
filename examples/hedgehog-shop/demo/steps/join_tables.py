"""The shop's tables come to stand beside the events; one question about Ada is asked of both."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2

from demo.failure import DemoError
from demo.processes import PATIENCE_S, tool
from demo.visit import Visit

CONFIG = """\
[deployment]
url = "{url}"

[destination]
kind = "parquet"
path = "{tables}"

[tables]
include = ["users", "orders"]
"""
#: PostHog's SQL. `users` and `orders` are the shop's documents, `events` what PostHog was sent.
QUESTION = """
SELECT u.name, u.plan, o.paid, count() AS events
FROM events AS e JOIN users AS u ON e.distinct_id = u._id JOIN orders AS o ON o.user_id = u._id
WHERE u._id = {person} GROUP BY u.name, u.plan, o.paid
"""


def run(visit: Visit) -> str:
    tables = visit.receiver.tables
    if tables is None:
        raise DemoError("This step needs a folder for the tables.")
    _sync(visit, tables)
    rows = _ask(visit, QUESTION)
    if len(rows) != 1 or rows[0][:3] != ["Ada", "club", 100]:
        raise DemoError(f"The tables and the events of Ada should join to one row, not to {rows}.")
    name, plan, paid, events = rows[0]
    return (
        "The shop's tables stand beside the events:"
        f" users ⨝ orders ⨝ events = {name}, plan {plan}, paid {paid:g} €, {events} events"
    )


def _sync(visit: Visit, tables: Path) -> None:
    config = tables.with_name("posthog-convex-sync.toml")
    config.parent.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(url=visit.host_url, tables=tables)
    if config.exists() and config.read_text() != text:
        shutil.rmtree(tables)  # of a start on another port, which the sync takes for another host
    config.write_text(text)
    done = subprocess.run(
        tool("posthog-convex", "sync", "run", "--config", str(config)),
        env={**os.environ, "CONVEX_DEPLOY_KEY": visit.admin_key},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    if done.returncode:
        raise DemoError(done.stderr.strip())


def _ask(visit: Visit, question: str) -> list[list[Any]]:
    query = {"kind": "HogQLQuery", "query": question, "values": {"person": visit.person}}
    answer = httpx2.post(
        f"{visit.local.url}/api/projects/@current/query/",
        json={"query": query},
        headers={"Authorization": f"Bearer {visit.local.personal_api_key}"},
        timeout=PATIENCE_S,
    )
    if answer.status_code != 200:
        raise DemoError(f"PostHog Local did not answer the question: {answer.text}")
    found: list[list[Any]] = answer.json()["results"]
    return found
