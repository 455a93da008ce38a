"""The cron jobs that an app or component declares, checked.

Owns what a deploy refuses about them: functions that are not there, that can't be scheduled, or
that don't take the arguments. Never touches the database. One invariant: a cron job that was
deployed could run.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from pyconvex.functions import (
    CronJobs,
    DefinitionError,
    FunctionKind,
    FunctionReference,
    ModuleReference,
    RegisteredFunction,
)
from pyconvex.functions.crons import CronJob
from pyconvex.functions.documents import plain
from pyconvex.runtime.app.spec import CronSpec
from pyconvex.values import InvalidValue, ValidationFailed, codec

_MODULE = "crons"
#: Bytes of the arguments of one cron job (Convex's limit).
MAX_ARGUMENT_BYTES = 1024 * 1024

Functions = Mapping[str, RegisteredFunction[..., object]]


class _AnyNumber(int):
    """Equal to every table number."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class _AnyTable:
    """Tables before there are any: an id of whatever table is taken for one of the table asked."""

    def number_of(self, table: str) -> int | None:
        return _AnyNumber()

    def name_of(self, number: int) -> str | None:
        return None


def cron_specs(modules: Mapping[str, ModuleType], functions: Functions) -> list[CronSpec]:
    """What `crons.py` declares. Raises `DefinitionError`."""
    module = modules.get(_MODULE)
    if module is None:
        return []
    crons = getattr(module, "crons", None)
    if not isinstance(crons, CronJobs):
        raise DefinitionError(
            f"{_MODULE}.py must define `crons`: write crons = cron_jobs() at its top level."
        )
    return [_spec(job, functions) for job in crons.jobs.values()]


def _spec(job: CronJob, functions: Functions) -> CronSpec:
    path, function = _find(job, functions)
    if function.kind not in (FunctionKind.MUTATION, FunctionKind.ACTION):
        raise DefinitionError(
            f"The cron job {job.name!r} schedules a {function.kind.value} function, only actions "
            f"and mutations can be scheduled: {path}"
        )
    return CronSpec(job.name, job.schedule, path, function.kind.value, _arguments(job, function))


def _find(job: CronJob, functions: Functions) -> tuple[str, RegisteredFunction[..., object]]:
    """The function that a job runs, which is one of the same app or component."""
    target = job.target
    if isinstance(target, RegisteredFunction):
        path = target.reference.path if target.reference is not None else ""
        if functions.get(path) is not target:
            raise DefinitionError(
                f"The cron job {job.name!r} schedules {target!r}, which is no function of the same "
                "app or component. Write one there that calls it."
            )
        return path, target
    assert isinstance(target, (FunctionReference, ModuleReference))
    try:
        reference = target.to_reference() if isinstance(target, ModuleReference) else target
    except ValueError as error:
        raise DefinitionError(f"The cron job {job.name!r}: {error}") from None
    if reference.mount is not None:
        raise DefinitionError(
            f"The cron job {job.name!r} schedules {reference}, a function of a component. Write a "
            "function of your own that calls it."
        )
    function = functions.get(reference.path)
    if function is None:
        raise DefinitionError(
            f"The cron job {job.name!r} schedules a function that does not exist: {reference.path}"
        )
    return reference.path, function


def _arguments(job: CronJob, function: RegisteredFunction[..., Any]) -> str:
    try:
        encoded = codec.encode(plain(dict(job.arguments)))
        function.args.check(codec.decode(encoded), _AnyTable())
    except (InvalidValue, ValidationFailed) as error:
        raise DefinitionError(
            f"The cron job {job.name!r} gives arguments that {function.reference} does not take: "
            f"{error}"
        ) from None
    if len(encoded) > MAX_ARGUMENT_BYTES:
        raise DefinitionError(
            f"The arguments of the cron job {job.name!r} are larger than {MAX_ARGUMENT_BYTES} "
            "bytes."
        )
    return encoded.decode()
