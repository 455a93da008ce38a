"""Errors that the host reports, as PostHog reads them.

Owns the way from the host's description of an error to an event. Never sees the error itself. One
invariant: an error described here groups with the same error described by `capture_exception`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from posthog_convex import events
from posthog_convex.component.reported import ReportedException
from posthog_convex.events import Event, Stamp
from posthog_convex.exceptions import About, Description, Entry
from posthog_convex.exceptions.frames import filename_of
from pyconvex.runlog import ExceptionReport, Frame, RunRecord


def uncaught(error: ExceptionReport, run: RunRecord) -> Event:
    """The event of an error that left its function; without a known caller it is nobody's."""
    return about_run(
        events.exception(
            exception_list(error),
            distinct_id=run.report.user_id,
            stamp=Stamp.of(error.id, run.ts_ms),
        ),
        run,
        error.data,
    )


def reported(event: Event, run: RunRecord, told: ReportedException) -> Event:
    """An event that a function made of an error, with what only the host knows of its run."""
    if told.for_caller and run.report.user_id is not None:
        properties = {**event["properties"]}
        properties.pop("$process_person_profile", None)
        event = event | {"distinct_id": run.report.user_id, "properties": properties}
    made = about_run(event, run)
    kept = {name: each for name, each in made["properties"].items() if name not in told.removed}
    return made | {"properties": kept}


def about_run(event: Event, run: RunRecord, data: bytes | None = None) -> Event:
    """The event with the run that it is of; nobody's errors of one request share the request's id.

    `data` is that of a `ConvexError`, as JSON.
    """
    about = About(
        function=run.path,
        function_type=run.kind,
        request_id=run.request_id,
        component=run.component,
        run_reason=run.reason,
        trace_id=run.trace,
        span_id=run.span_id,
        data=None if data is None else data.decode(),
    )
    made = event | {"properties": about.properties() | event["properties"]}
    nobody = made["properties"].get("$process_person_profile") is False
    if nobody and run.request_id and event["distinct_id"] == event["uuid"]:
        made["distinct_id"] = run.request_id
    return events.in_session(made, run.report.session_id)


def exception_list(error: ExceptionReport) -> Description:
    """The error with what led to it, as `posthog_convex.exceptions.describe` has it."""
    return list(_entries(error, [], None, None))


def _entries(
    error: ExceptionReport, made: list[None], parent: int | None, source: str | None
) -> Iterator[Entry]:
    number = len(made)
    made.append(None)
    mechanism: dict[str, Any] = {"exception_id": number, "synthetic": False}
    if parent is None:
        # One with data was raised on purpose: a ConvexError, whatever its class is called.
        mechanism |= {"type": "generic", "handled": error.data is not None}
    else:
        mechanism |= {"type": "chained", "source": source, "parent_id": parent}
    if error.members:
        mechanism["is_exception_group"] = True
    entry: Entry = {
        "type": _last_name(error.type),
        "value": "\n".join([error.message, *error.notes]),
        "module": error.module or None,
        "mechanism": mechanism,
    }
    if error.frames:
        frames = [_frame(each) for each in error.frames]
        entry["stacktrace"] = {"type": "raw", "frames": frames}
    yield entry
    if error.cause is not None:
        how = "cause" if error.cause_named else "context"
        yield from _entries(error.cause, made, number, how)
    for member in error.members:
        yield from _entries(member, made, number, "member")


def _frame(frame: Frame) -> dict[str, Any]:
    made: dict[str, Any] = {
        "platform": "python",
        "filename": filename_of(frame.file, frame.module, is_app=frame.in_app),
        "abs_path": frame.file,
        "function": _last_name(frame.function),
        "module": frame.module,
        "lineno": frame.line,
        "in_app": frame.in_app,
    }
    if frame.source:
        made |= {
            "pre_context": list(frame.before),
            "context_line": frame.source,
            "post_context": list(frame.after),
        }
    return made


def _last_name(qualified: str) -> str:
    """`inner` of `outer.<locals>.inner`: PostHog's frames have plain names."""
    return qualified.rpartition(".")[2]
