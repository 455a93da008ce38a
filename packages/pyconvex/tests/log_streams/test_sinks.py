"""The kinds of streams that the host brings: bodies, signatures, files, lines, refusals."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

import pytest
from entries_of_runs import events, lines, record

from pyconvex.log_streams import (
    Config,
    ConfigRefused,
    Deployment,
    Field,
    NotVerified,
    Request,
    Response,
    Sink,
    Unreachable,
)
from pyconvex.log_streams.file import FileSink, append
from pyconvex.log_streams.registry import sinks
from pyconvex.log_streams.terminal import TerminalSink, as_text
from pyconvex.log_streams.webhook import WebhookSink

HERE = Deployment(deployment_name="hedgehog", deployment_type="dev")
WEBHOOK: Config = {"url": "https://logs.example/in", "format": "jsonl", "hmacSecret": "s3cret"}


class Wire:
    """A transport that answers what it is told, and keeps what was sent."""

    def __init__(self, *answers: Response | Unreachable) -> None:
        self.answers = list(answers)
        self.sent: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.sent.append(request)
        answer = self.answers.pop(0) if self.answers else Response(200, {})
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    async def aclose(self) -> None: ...


def posted(sink: WebhookSink, config: Config, *of: str, at_ms: float = 1000.0) -> Request:
    wire = Wire()
    request = sink.encode(events(lines(of, at_ms), {"log"}), config, HERE)
    assert request is not None
    asyncio.run(sink.send(request, config, wire))
    (sent,) = wire.sent
    headers = dict(sent.headers)
    digest = hmac.new(b"s3cret", sent.body, hashlib.sha256).hexdigest()
    assert headers["x-webhook-signature"] == f"sha256={digest}"
    assert headers["Content-Type"] == "application/json"
    return sent


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_webhook_posts_signed_events_with_the_deployment(format: str) -> None:
    sent = posted(WebhookSink(lambda: 1500.0), {**WEBHOOK, "format": format}, "one", "ünd zwei")
    if format == "json":
        elements = json.loads(sent.body)
    else:
        assert not sent.body.endswith(b"\n")
        elements = [json.loads(line) for line in sent.body.split(b"\n")]
    assert [element["message"] for element in elements] == ["'one'", "'ünd zwei'"]
    assert elements[0]["convex"] == {
        "deployment_name": "hedgehog",
        "deployment_type": "dev",
        "deployment_ref": None,
        "project_name": None,
        "project_slug": None,
        "deployment_region": None,
    }


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_late_batch_is_led_by_the_moment_and_signed_as_it_leaves(format: str) -> None:
    config = {**WEBHOOK, "format": format}
    # What a function prints can't be taken for the deployment.
    sent = posted(WebhookSink(lambda: 7_200_000.0), config, 'x","convex":{"a":1}', "two")
    split = sent.body.split(b"\n")
    elements = json.loads(sent.body) if format == "json" else [json.loads(line) for line in split]
    assert [element["topic"] for element in elements] == ["verification", "console", "console"]
    assert [element["timestamp"] for element in elements] == [7_200_000, 1000, 1000]
    assert elements[0]["convex"] == elements[1]["convex"] == elements[2]["convex"]
    assert elements[0]["convex"]["deployment_name"] == "hedgehog"


def test_settings_that_cant_be_are_refused_by_name() -> None:
    url, format = WebhookSink.fields
    for wrong in ("not a url", "ftp://x", "https://", 7, "http://[::1"):
        with pytest.raises(ConfigRefused) as refused:
            url.check(wrong)
        assert refused.value.code == "InvalidWebhookUrl"
    for missing in (None, ""):
        with pytest.raises(ConfigRefused, match="URL is required"):
            url.check(missing)
    with pytest.raises(ConfigRefused, match="json, jsonl"):
        format.check("xml")
    with pytest.raises(ConfigRefused, match="user name"):
        WebhookSink().validate({**WEBHOOK, "url": "https://ann:pw@logs.example"})
    secret = Field(name="apiKey", label="Key", kind="secret")
    with pytest.raises(ConfigRefused) as refused:
        secret.check(12345)
    assert "12345" not in refused.value.message
    Field(name="rate", label="Rate", kind="number").check(0.5)
    for kind, value in (("number", True), ("number", "1"), ("flag", 1), ("text", 2)):
        with pytest.raises(ConfigRefused):
            Field(name="x", label="X", kind=kind).check(value)  # type: ignore[arg-type]  # each of them is one


class Impatient(WebhookSink):
    """Verifies without pauses."""

    async def verify(self, config: Config, deployment: Deployment, transport: Any) -> None:
        from pyconvex.log_streams import deliver_once, verification

        request = self.encode([verification(1.0)], config, deployment)
        assert request is not None
        await deliver_once(self, request, config, transport, pause_s=0.0)


@pytest.mark.parametrize(
    ("answers", "attempts", "reason"),
    [
        ([Response(204, {})], 1, None),
        ([Response(503, {}), Unreachable("no route"), Response(200, {})], 3, None),
        ([Response(401, {}, b"who?")], 1, "rejected the request with 401: who?"),
        ([Response(503, {}), Response(503, {}), Response(502, {}, b"x")], 3,
         "Gave up after 3 attempts, last failure: 502: x"),
        ([Response(400, {}, b"bad")], 1, "rejected the request with 400"),
        ([Response(429, {"retry-after": "900"})], 1, "429"),
    ],
)  # fmt: skip
def test_verification(answers: list[Any], attempts: int, reason: str | None) -> None:
    wire = Wire(*answers)
    if reason is None:
        asyncio.run(Impatient().verify(WEBHOOK, HERE, wire))
    else:
        with pytest.raises(NotVerified) as failed:
            asyncio.run(Impatient().verify(WEBHOOK, HERE, wire))
        assert reason in str(failed.value)
    assert len(wire.sent) == attempts


# Files


def written(path: Path) -> list[str]:
    return [json.loads(line).get("message", "?") for line in path.read_text().splitlines()]


def test_a_file_gets_a_line_an_event_with_what_only_the_host_knows(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "events.jsonl"
    config = {"path": str(path)}
    sink = FileSink()
    request = sink.encode(events(record(), {"log"}), config, HERE)
    assert request is not None
    assert asyncio.run(sink.send(request, config, Wire())).status == 200
    event = json.loads(path.read_text())
    assert event["pyconvex"] == {
        "id": events(record(), {"log"})[0].id,
        "trace_id": "b1e7cde893efc62d38832d7e07c7291e",
        "user_id": "ada",
        "session_id": "s1",
    }
    assert event["convex"]["deployment_name"] == "hedgehog"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_is_rotated_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for number in range(10):
        append(path, b"%d" % number * 39 + b"\n", 100, 2)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    kept = [(tmp_path / name).read_bytes()[:1] for name in reversed(names)]
    assert kept == [b"4", b"6", b"8"], "the oldest went, the order is kept"
    for _ in range(2):
        append(path, b"x" * 90 + b"\n", 100, 0)
    assert path.stat().st_size == 91


def test_a_line_that_a_crash_tore_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"whole":1}\n{"torn":')
    append(path, b'{"next":1}\n', 1000, 1)
    assert path.read_bytes() == b'{"whole":1}\n{"torn":\n{"next":1}\n'


def test_a_disk_that_fills_up_leaves_nothing_of_what_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    append(path, b'{"whole":1}\n', 1000, 1)
    real, room = os.write, [7]

    def write(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", write)
    for _ in range(2):  # the second attempt finds no room at all
        with pytest.raises(OSError, match="No space"):
            append(path, b'{"next":1}\n{"last":1}\n', 1000, 1)
        assert path.read_bytes() == b'{"whole":1}\n'
    monkeypatch.setattr(os, "write", real)
    append(path, b'{"next":1}\n{"last":1}\n', 1000, 1)
    assert path.read_bytes() == b'{"whole":1}\n{"next":1}\n{"last":1}\n'


def test_a_file_that_cant_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = {"path": str(tmp_path / "file" / "events.jsonl")}
    with pytest.raises(NotVerified, match="can't be written"):
        asyncio.run(FileSink().verify(config, HERE, Wire()))
    with pytest.raises(Unreachable):
        asyncio.run(FileSink().send(Request("APPEND", config["path"], (), b"x\n"), config, Wire()))
    for path in ("relative.jsonl", "/", "/a\0b"):
        with pytest.raises(ConfigRefused, match="absolute"):
            FileSink().validate({"path": path})
    with pytest.raises(ConfigRefused, match="maxBytes"):
        FileSink().validate({"path": "/a", "maxBytes": 10})
    with pytest.raises(ConfigRefused, match="keep"):
        FileSink().validate({"path": "/a", "keep": -1})


# The terminal


def test_the_terminal_gets_lines_that_nobody_can_forge(capfdbinary: Any) -> None:
    of = record(report=lines(["a\x1b[2Jb\nc\rd"]).report)
    config = {"format": "text"}
    sink = TerminalSink()
    request = sink.encode(events(of), config, HERE)
    assert request is not None
    asyncio.run(sink.send(request, config, Wire()))
    told = capfdbinary.readouterr().out.decode()
    assert told == (
        "1970-01-01 00:00:01.000 [LOG] shop:buy a\\x1b[2Jb\n    c\\rd\n"
        "1970-01-01 00:00:02.000 mutation shop:buy success in 13 ms\n"
    )


def test_the_terminal_names_components() -> None:
    (ran,) = events(record(component="mail"), {"execution"})
    assert as_text(ran).endswith(" mutation mail/shop:buy success in 13 ms")


def test_the_terminal_tells_every_topic() -> None:
    from test_stream_events import HOST_EVENTS, host_record

    for topic, fields in HOST_EVENTS.items():
        of = host_record(topic, {"timestamp": 1, **fields})
        (event,) = events(of, {f"host.{topic}"})
        assert as_text(event).startswith("1970-01-01 00:00:05.000 ")


# All kinds


def test_the_kinds_that_there_are() -> None:
    found = sinks()
    assert {"webhook", "file", "terminal"} <= set(found)
    for name, kind in found.items():
        assert issubclass(kind, Sink)
        assert kind.stream_type == name
        assert kind.title
        assert kind.summary
        assert len({field.name for field in kind.fields}) == len(kind.fields)
