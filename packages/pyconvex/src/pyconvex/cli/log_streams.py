"""`pyconvex log-streams`: where the deployment's events go.

Owns the words of the command line. Never knows a kind of stream: the deployment says which settings
each has. One invariant: a secret is printed once, when it is made, or when it is asked for by name.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from pyconvex.cli.deployment import Deployment, deployment_options

_OVERVIEW = "/api/pyconvex/log_streams"
#: A verification takes at most fifteen seconds.
_VERIFIED_WITHIN_S = 20.0
_LOOK_S = 0.2


@click.group("log-streams")
def log_streams() -> None:
    """Set up where events of functions and of the host go: webhook, file, terminal, PostHog."""


_TOPICS = click.option(
    "--topics",
    metavar="TOPIC,…",
    help="Only these topics, such as console,function_execution; `all` for all.",
)


@log_streams.command("add")
@click.argument("kind")
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
@_TOPICS
@deployment_options
def add(
    kind: str,
    settings: tuple[str, ...],
    topics: str | None,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Add a stream of a KIND, such as webhook, with its settings, and verify it.

    Settings that are left out are taken from the app's variables where the kind names one. NAME=-
    reads the value from standard input, so that a secret stays out of the shell's history. `list`
    prints which kinds and settings there are.
    """
    deployment = Deployment.find(url, admin_key)
    form = _form(deployment.get(_OVERVIEW), kind)
    given = _settings(form, settings)
    given |= _begun(form, given)
    body = {"logStreamType": kind, **given, **_chosen(form, topics)}
    made = deployment.post("/api/v1/create_log_stream", body)
    for name, value in made.items():
        if name not in ("logStreamType", "id"):
            click.echo(f"{name}: {value}")
    _await_verdict(deployment, made["id"], kind)


@log_streams.command("update")
@click.argument("stream")
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
@_TOPICS
@deployment_options
def update(
    stream: str,
    settings: tuple[str, ...],
    topics: str | None,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Change settings of STREAM, by its kind or id, and verify it again; NAME= unsets one."""
    deployment = Deployment.find(url, admin_key)
    overview = deployment.get(_OVERVIEW)
    found = _find(overview, stream)
    form = _form(overview, found["logStreamType"])
    given = _settings(form, settings)
    body = {"logStreamType": found["logStreamType"], **given, **_chosen(form, topics)}
    deployment.post(f"/api/v1/update_log_stream/{found['id']}", body)
    _await_verdict(deployment, found["id"], found["logStreamType"])


@log_streams.command("list")
@click.option("--json", "as_json", is_flag=True, help="As the deployment tells it, with secrets.")
@deployment_options
def list_streams(as_json: bool, url: str | None, admin_key: str | None) -> None:
    """Print the streams, how each fares, and which kinds there are."""
    overview = Deployment.find(url, admin_key).get(_OVERVIEW)
    if as_json:
        click.echo(msgspec.json.encode(overview).decode())
        return
    for stream in overview["streams"]:
        for line in _told(stream):
            click.echo(line)
    if not overview["streams"]:
        click.echo("There are no log streams. Add one with: pyconvex log-streams add KIND …")
    click.echo("Kinds:")
    for form in overview["types"]:
        names = " ".join(_shown_field(field) for field in form["fields"])
        click.echo(f"  {form['logStreamType']} {names}".rstrip())
        click.echo(f"    {form['summary']}")


@log_streams.command("test")
@click.argument("stream")
@deployment_options
def test(stream: str, url: str | None, admin_key: str | None) -> None:
    """Send a verification through STREAM, by its kind or id, now; nothing of it changes."""
    deployment = Deployment.find(url, admin_key)
    found = _find(deployment.get(_OVERVIEW), stream)
    verdict = deployment.post(f"/api/pyconvex/test_log_stream/{found['id']}", {})
    if not verdict["ok"]:
        raise click.ClickException(f"{found['logStreamType']}: {verdict['reason']}")
    click.echo(f"{found['logStreamType']}: the verification was taken.")


@log_streams.command("remove")
@click.argument("stream")
@deployment_options
def remove(stream: str, url: str | None, admin_key: str | None) -> None:
    """Remove STREAM, by its kind or id. What it has not sent is not sent any more."""
    deployment = Deployment.find(url, admin_key)
    found = _find(deployment.get(_OVERVIEW), stream)
    deployment.post(f"/api/v1/delete_log_stream/{found['id']}", {})
    click.echo(f"Removed the {found['logStreamType']} stream.")


@log_streams.command("rotate-secret")
@click.argument("stream", default="webhook")
@deployment_options
def rotate_secret(stream: str, url: str | None, admin_key: str | None) -> None:
    """Give the webhook another secret, which counts from the next request on, and print it."""
    deployment = Deployment.find(url, admin_key)
    found = _find(deployment.get(_OVERVIEW), stream)
    rotated = deployment.post(f"/api/v1/rotate_webhook_secret/{found['id']}", {})
    click.echo(f"hmacSecret: {rotated['hmacSecret']}")


def _form(overview: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for form in overview["types"]:
        if form["logStreamType"] == kind:
            return dict(form)
    known = ", ".join(form["logStreamType"] for form in overview["types"])
    raise click.UsageError(f"There are no {kind} streams here. Kinds: {known}.")


def _find(overview: Mapping[str, Any], stream: str) -> Mapping[str, Any]:
    for found in overview["streams"]:
        if stream in (found["id"], found["logStreamType"]):
            return dict(found)
    raise click.ClickException(
        f"There is no stream {stream!r}: `pyconvex log-streams list` prints those that there are."
    )


def _settings(form: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE words as settings, in the types that the kind's fields have."""
    fields = {field["name"]: field for field in form["fields"]}
    settings = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or name not in fields:
            known = ", ".join(fields) or "none"
            raise click.UsageError(
                f"{word!r} is no setting of {form['logStreamType']} streams: NAME=VALUE with one "
                f"of {known}."
            )
        text = sys.stdin.readline().rstrip("\n") if value == "-" else value
        settings[name] = _typed(fields[name], text)
    return settings


def _typed(field: Mapping[str, Any], text: str) -> Any:
    if text == "":
        return None
    if field["kind"] == "flag":
        return {"true": True, "false": False}.get(text.lower(), text)
    if field["kind"] == "number":
        try:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            return text  # the deployment says what is wrong with it
    return text


def _begun(form: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the app's variables and the kind itself say where nothing was given."""
    begun = {}
    for field in form["fields"]:
        if field["name"] in given:
            continue
        if field["prefill"] is not None:
            begun[field["name"]] = field["prefill"]
            click.echo(f"{field['name']} is what {field['prefill_env']} is.")
        elif field["default"] is not None:
            begun[field["name"]] = field["default"]
        elif field["required"]:
            raise click.UsageError(_wanted(form, field))
    return begun


def _wanted(form: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    name, variable = field["name"], field["prefill_env"]
    text = f"{form['logStreamType']} streams need {name} ({field['label']}): give {name}=VALUE"
    return f"{text}, or set {variable} with `pyconvex env set`." if variable else f"{text}."


def _chosen(form: Mapping[str, Any], topics: str | None) -> dict[str, Any]:
    if topics is None:
        return {}
    if not form["choosesTopics"]:
        raise click.UsageError(f"{form['logStreamType']} streams leave no choice of topics.")
    if topics == "all":
        return {"topics": None}
    return {"topics": [topic.strip() for topic in topics.split(",") if topic.strip()]}


def _await_verdict(deployment: Deployment, id: str, kind: str) -> None:
    """Wait until the stream was verified, and say how that ended."""
    until = time.monotonic() + _VERIFIED_WITHIN_S
    status = {"type": "pending"}
    while status["type"] == "pending" and time.monotonic() < until:
        time.sleep(_LOOK_S)
        status = deployment.get(f"/api/v1/get_log_stream/{id}")["status"]
    if status["type"] == "failed":
        raise click.ClickException(
            f"The {kind} stream is kept and does not send: {_sentence(status['reason'])} "
            f"Mend it with: pyconvex log-streams update {kind} NAME=VALUE"
        )
    click.echo(f"The {kind} stream is {status['type']}.")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _told(stream: Mapping[str, Any]) -> list[str]:
    status, fares = stream["status"], stream["delivery"]
    head = f"{stream['logStreamType']} ({stream['id']}): {status['type']}"
    lines = [head if status["type"] != "failed" else f"{head}: {status['reason']}"]
    hidden = ("logStreamType", "id", "status", "title", "delivery", "hmacSecret", "topics")
    settings = [f"{k}={v}" for k, v in stream.items() if k not in hidden]
    if "topics" in stream:
        settings.append("topics=" + ("all" if stream["topics"] is None else _joined(stream)))
    lines.append("  " + " ".join(settings))
    more = " or more" if fares["moreWaiting"] else ""
    late = f", {fares['lagSeconds']:.0f} s late" if fares["lagSeconds"] is not None else ""
    lines.append(
        f"  {fares['state']}: sent {fares['sent']}, waiting {fares['waiting']}{more}{late}, "
        f"dropped {fares['dropped']}, set aside {fares['setAside']}"
    )
    if fares["setAside"]:
        lines.append("  what was set aside is in runlog/set_aside.jsonl of its data folder")
    if fares["lastError"] is not None:
        lines.append(f"  last error: {fares['lastError']}")
    return lines


def _joined(stream: Mapping[str, Any]) -> str:
    return ",".join(stream["topics"])


def _shown_field(field: Mapping[str, Any]) -> str:
    choices = "|".join(field["choices"]) if field["choices"] else field["kind"].upper()
    shown = f"{field['name']}={choices}"
    return shown if field["required"] else f"[{shown}]"
