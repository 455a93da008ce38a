"""The warehouse sync beside a host that runs the project: what the host is to run, if anything.

Owns that choice. Never imports what a destination needs, nor runs a sync. One invariant: tables of
one deployment never get into the warehouse of another.
"""

from __future__ import annotations

from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.sync.config import FILE, read
from posthog_convex.warehouse.sync.keys import same_address
from pyconvex.companions import Companion, Idle, Program, Project

_COMMAND = "posthog_convex.cli:main"


def _program(project: Project) -> Program | Idle:
    file = project.folder / FILE
    try:
        config = read(file)
    except SyncRefused as refused:
        return Idle(reason=str(refused), problem=True)
    if config.host.schedule is None:
        return Idle(reason=f"{FILE} has no `schedule` in [host]: nothing is synced by itself")
    url = config.deployment.url
    if not any(same_address(url, each) for each in project.urls):
        return Idle(
            reason=f"{FILE} is for {url}, and this host is at {' or '.join(project.urls)}: its"
            " tables were kept out of that warehouse. If it is the one, write its address into"
            " `url`; if not, start it with --no-companions.",
            problem=True,
        )
    every_s = config.host.every_s
    arguments = ("watch", "--quiet") if every_s is None else ("run",)
    return Program(
        run=_COMMAND,
        arguments=("sync", *arguments, "--config", str(file)),
        every_s=every_s,
        key_variable=config.deployment.key_env,
    )


COMPANION = Companion(file=FILE, set_up="`posthog-convex sync init` writes it", program=_program)
