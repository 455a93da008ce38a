"""The form of a log stream: what it begins with, what was sent, and what is wrong with that.

Owns going from a kind's description to a form and back to the body that the API takes. Never sets
up anything. One invariant: the value of a secret goes into no page, not even the one that was just
typed; where a variable holds it, the form names the variable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pyconvex.dashboard.forms import Form
from pyconvex.dashboard.streamlist import Field, Kind, Setting, Stream

NO_TOPIC = "Select at least one topic."
#: What people read beside a topic's name.
TOPIC_HINTS = {
    "console": "what functions print",
    "function_execution": "how every run ended, and what it used",
    "audit_log": "deploys and changes by operators",
    "scheduler_stats": "scheduled runs that are under way",
    "scheduled_job_lag": "how late scheduled runs are",
    "current_storage_usage": "how much is stored",
    "concurrency_stats": "how many functions run at once",
    "storage_api_bandwidth": "file storage, which this host doesn't have: stays empty",
    "log_stream_egress": "what log streams have sent",
    "custom_audit": "what functions report with ctx.audit; only where it is chosen",
}
#: A shorter secret would lose too much by its end.
_SHOWN_END = 4
_LONG_ENOUGH = 16
_HIDDEN = "•" * 12


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form with what stands in it."""

    field: Field
    value: str = ""
    checked: bool = False
    #: What is used when it is left empty.
    otherwise: str = ""
    problem: str = ""

    #: In its place while it is empty.
    placeholder: str = ""

    @property
    def hint(self) -> str:
        """What is said below the field."""
        return " ".join(text for text in (self.field.help, self.otherwise) if text)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A form as it is shown. `problem` is about none of its fields."""

    entries: tuple[Entry, ...]
    all_topics: bool = True
    chosen: tuple[str, ...] = ()
    topics_problem: str = ""
    problem: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether something has to be mended."""
        return bool(
            self.problem or self.topics_problem or any(entry.problem for entry in self.entries)
        )


def begun(kind: Kind) -> Draft:
    """The form for a new stream: defaults, and what the app's variables say."""
    return Draft(entries=tuple(_begun(field) for field in kind.fields))


def of_stream(kind: Kind, stream: Stream) -> Draft:
    """The form for a stream that is there."""
    entries = [
        Entry(
            field=field,
            value=_text(stream.settings.get(field.name)),
            checked=stream.settings.get(field.name) is True,
            otherwise="Left empty, it stays as it is." if field.kind == "secret" else "",
            placeholder=_HIDDEN if field.kind == "secret" else field.placeholder,
        )
        for field in kind.fields
    ]
    return Draft(
        entries=tuple(entries), all_topics=stream.topics is None, chosen=stream.topics or ()
    )


def sent(kind: Kind, form: Form, before: Draft, topics: Iterable[str]) -> Draft:
    """What was sent, over what the form began with, with what is wrong."""
    entries = [_sent(entry, form) for entry in before.entries]
    every = form.text("all_topics") == "on"
    chosen = tuple(topic for topic in topics if topic in form.all("topics"))
    missing = kind.chooses_topics and not every and not chosen
    return Draft(
        entries=tuple(entries),
        all_topics=every,
        chosen=chosen,
        topics_problem=NO_TOPIC if missing else "",
    )


def body(kind: Kind, form: Form, draft: Draft, *, is_new: bool) -> dict[str, Any]:
    """The body for the API of a draft that has nothing wrong.

    Of a new stream, a secret that was left empty is what its variable says; else it is left out,
    and stays.
    """
    made: dict[str, Any] = {"logStreamType": kind.name}
    for entry in draft.entries:
        field = entry.field
        if field.kind != "secret":
            made[field.name] = _setting(entry)
        elif typed := form.text(field.name):
            made[field.name] = typed
        elif is_new:
            made[field.name] = field.prefill or None
    if kind.chooses_topics:
        made["topics"] = None if draft.all_topics else list(draft.chosen)
    return made


def refused(draft: Draft, code: str, message: str) -> Draft:
    """The draft with what the deployment said of it, at the field that it is about."""
    for number, entry in enumerate(draft.entries):
        name = entry.field.name
        if message.startswith((f"{name}:", f"{name} ")) or _is_about(entry.field, code, draft):
            said = message.removeprefix(f"{name}:").strip()
            marked = msgspec.structs.replace(entry, problem=said)
            entries = (*draft.entries[:number], marked, *draft.entries[number + 1 :])
            return msgspec.structs.replace(draft, entries=entries)
    return msgspec.structs.replace(draft, problem=message)


def _is_about(field: Field, code: str, draft: Draft) -> bool:
    alone = [entry.field.error_code for entry in draft.entries].count(code) == 1
    return field.error_code == code != "BadJsonBody" and alone


def _begun(field: Field) -> Entry:
    prefill = field.prefill or ""
    if field.kind == "secret":
        return _begun_secret(field, prefill)
    return Entry(
        field=field,
        value=prefill or _text(field.default),
        checked=field.default is True,
        otherwise=f"From {field.prefill_env}." if prefill else "",
        placeholder=field.placeholder,
    )


def _begun_secret(field: Field, prefill: str) -> Entry:
    if not prefill:
        return Entry(field=field, placeholder=field.placeholder)
    end = prefill[-_SHOWN_END:] if len(prefill) >= _LONG_ENOUGH else ""
    return Entry(
        field=field,
        otherwise=f"Left empty, it is the value of {field.prefill_env}.",
        placeholder=f"{_HIDDEN}{end}",
    )


def _sent(entry: Entry, form: Form) -> Entry:
    field = entry.field
    value = form.text(field.name)
    if field.kind == "flag":
        return msgspec.structs.replace(entry, checked=value == "on")
    problem = _problem(field, value, has_other=bool(entry.otherwise) and field.kind == "secret")
    shown = "" if field.kind == "secret" else value
    return msgspec.structs.replace(entry, value=shown, problem=problem)


def _problem(field: Field, value: str, *, has_other: bool) -> str:
    if not value:
        missing = field.required and not has_other
        return (field.required_message or f"{field.label} is required") if missing else ""
    wrong = (
        (field.kind == "url" and not _is_url(value))
        or (field.kind == "number" and _number(value) is None)
        or (field.kind == "choice" and value not in field.choices)
    )
    return (field.invalid_message or _SAID.get(field.kind, "Is not one")) if wrong else ""


_SAID = {"url": "Must be a valid URL", "number": "Must be a number", "choice": "Choose one of them"}


def _setting(entry: Entry) -> Setting:
    match entry.field.kind:
        case "flag":
            return entry.checked
        case "number":
            return _number(entry.value)
        case _:
            return entry.value or None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number if number - number == 0 else None


def _text(value: Setting) -> str:
    if value is None or isinstance(value, bool):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
