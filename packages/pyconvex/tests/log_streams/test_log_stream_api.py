"""The deployment API of log streams: Convex's bodies, statuses and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streaming import Receiver, Streaming, on_a_server, until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_stream_from_its_making_to_its_end(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        asked = {"logStreamType": "webhook", "url": receiver.url, "format": "json"}
        made = await it.create(**asked, topics=["function_execution", "console"])
        assert set(made) == {"logStreamType", "id", "hmacSecret"}
        assert len(made["hmacSecret"]) == 32
        assert int(made["hmacSecret"], 16)
        id = made["id"]
        await it.until_state(id, "active")
        described = {
            **asked,
            "id": id,
            "hmacSecret": made["hmacSecret"],
            "topics": ["console", "function_execution"],
            "status": {"type": "active"},
        }
        assert await it.ask("GET", f"/api/v1/get_log_stream/{id}") == (200, described)
        assert await it.ask("GET", "/api/v1/list_log_streams") == (200, [described])
        assert [event["topic"] for event in receiver.events] == ["verification"]
        url = f"/api/v1/update_log_stream/{id}"
        change = {"logStreamType": "webhook", "format": "jsonl", "topics": None}
        assert await it.ask("POST", url, change) == (200, None)
        await it.until_state(id, "active")
        _, now = await it.ask("GET", f"/api/v1/get_log_stream/{id}")
        assert now == described | {"format": "jsonl", "topics": None}
        unsaid = {"logStreamType": "webhook", "url": None, "format": None}
        assert await it.ask("POST", url, unsaid) == (200, None), "what is required stays"
        await it.until_state(id, "active")
        assert (await it.ask("GET", f"/api/v1/get_log_stream/{id}"))[1] == now
        code, rotated = await it.ask("POST", f"/api/v1/rotate_webhook_secret/{id}")
        assert (code, rotated["logStreamType"]) == (200, "webhook")
        assert rotated["hmacSecret"] != made["hmacSecret"]
        assert await it.ask("POST", f"/api/v1/delete_log_stream/{id}") == (200, None)
        code, gone = await it.ask("GET", f"/api/v1/get_log_stream/{id}")
        assert (code, gone["code"]) == (404, "LogStreamDoesntExist")
        assert await it.ask("GET", "/api/v1/list_log_streams") == (200, [])

    on_a_server(tmp_path, test)


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "BadJsonBody"),
    ({"logStreamType": "datadog"}, 400, "BadJsonBody"),
    ({"logStreamType": ["webhook"]}, 400, "BadJsonBody"),
    ({"logStreamType": "webhook"}, 400, "BadJsonBody"),
    ({"logStreamType": "webhook", "url": "nowhere", "format": "json"}, 400, "InvalidWebhookUrl"),
    ({"logStreamType": "webhook", "url": "http://x"}, 400, "BadJsonBody"),
    ({"logStreamType": "webhook", "url": "http://x", "format": "xml"}, 400, "BadJsonBody"),
    ({"logStreamType": "webhook", "url": "http://x", "format": "json", "topics": []},
     400, "EmptyLogTopics"),
    ({"logStreamType": "webhook", "url": "http://x", "format": "json", "topics": ["exception"]},
     400, "InvalidLogTopic"),
    ({"logStreamType": "webhook", "url": "http://x", "format": "json", "topics": ["verification"]},
     400, "InvalidLogTopic"),
    ({"logStreamType": "webhook", "url": "http://x", "format": "json", "topics": ["tea"]},
     400, "BadJsonBody"),
    ({"logStreamType": "webhook", "url": "http://x", "format": "json", "topics": "console"},
     400, "BadJsonBody"),
    ({"logStreamType": "file", "path": "relative"}, 400, "InvalidFilePath"),
]  # fmt: skip


def test_what_is_refused(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        for body, status, code in WRONG:
            got, refusal = await it.ask("POST", "/api/v1/create_log_stream", body)
            assert (got, refusal["code"]) == (status, code), body
            assert refusal["message"]
        assert await it.ask("GET", "/api/v1/list_log_streams") == (200, [])
        id = await it.add_webhook(receiver)
        taken = {"logStreamType": "webhook", "url": receiver.url, "format": "json"}
        got, refusal = await it.ask("POST", "/api/v1/create_log_stream", taken)
        assert (got, refusal["code"]) == (409, "LogStreamAlreadyExists")
        url = f"/api/v1/update_log_stream/{id}"
        for body, code in (
            ({"logStreamType": "file", "path": "/x"}, "LogStreamTypeMismatch"),
            ({"logStreamType": "webhook", "url": ""}, "BadJsonBody"),
            ({"url": "https://logs.example/"}, "BadJsonBody"),
            ({"logStreamType": "webhook", "url": "x"}, "InvalidWebhookUrl"),
            ({"logStreamType": "webhook", "topics": []}, "EmptyLogTopics"),
        ):
            got, refusal = await it.ask("POST", url, body)
            assert (got, refusal["code"]) == (400, code), body
        file = await it.create(logStreamType="file", path=str(tmp_path / "events.jsonl"))
        got, refusal = await it.ask("POST", f"/api/v1/rotate_webhook_secret/{file['id']}")
        assert (got, refusal["code"]) == (400, "NoSecretToRotate")
        for way in ("update_log_stream", "delete_log_stream", "rotate_webhook_secret"):
            got, refusal = await it.ask("POST", f"/api/v1/{way}/nonsense", {})
            assert (got, refusal["code"]) == (400, "InvalidLogStreamId"), way
        got, refusal = await it.ask("GET", "/api/v1/get_log_stream/nonsense")
        assert (got, refusal["code"]) == (400, "InvalidLogStreamId")
        got, refusal = await it.ask("GET", "/api/v1/list_log_streams", key="local|" + "0" * 64)
        assert got == 401

    on_a_server(tmp_path, test)


def test_changes_at_the_same_time_are_all_kept_and_the_last_is_verified(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver)
        url = f"/api/v1/update_log_stream/{id}"
        answers = await asyncio.gather(
            it.ask("POST", f"/api/v1/rotate_webhook_secret/{id}"),
            it.ask("POST", url, {"logStreamType": "webhook", "topics": ["console"]}),
            it.ask("POST", url, {"logStreamType": "webhook", "format": "json"}),
            it.ask("POST", url, {"logStreamType": "webhook", "url": "http://127.0.0.1:1/"}),
        )
        assert [status for status, _ in answers] == [200] * 4
        await it.until_state(id, "failed")
        _, now = await it.ask("GET", f"/api/v1/get_log_stream/{id}")
        assert now["url"] == "http://127.0.0.1:1/"
        assert (now["topics"], now["format"]) == (["console"], "json")
        assert now["hmacSecret"] == answers[0][1]["hmacSecret"]

    on_a_server(tmp_path, test)


def test_a_stream_that_is_not_taken_says_why_and_loses_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        receiver.answer = (401, {})
        made = await it.create(logStreamType="webhook", url=receiver.url, format="jsonl")
        failed = await it.until_state(made["id"], "failed")
        assert "rejected the request with 401" in failed["reason"]
        await it.say("kept")
        receiver.answer, receiver.secret = (200, {}), made["hmacSecret"]
        code, verdict = await it.ask("POST", f"/api/pyconvex/test_log_stream/{made['id']}")
        assert (code, verdict) == (200, {"ok": True, "reason": None})
        assert (await it.status(made["id"]))["type"] == "failed", "a test changes nothing"
        url = f"/api/v1/update_log_stream/{made['id']}"
        await it.ask("POST", url, {"logStreamType": "webhook"})
        await it.until_state(made["id"], "active")
        await until(lambda: receiver.lines == ["kept"])

    on_a_server(tmp_path, test)


def test_streams_and_their_place_outlive_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    ids = []

    async def before(it: Streaming) -> None:
        ids.append(await it.add_webhook(receiver, topics=["console"]))
        receiver.answer = (503, {"retry-after": "1"})
        await it.say("one", "two")
        await until(lambda: receiver.requests >= 2)
        assert (await it.delivery(ids[0]))["dropped"] == 0

    async def after(it: Streaming) -> None:
        assert (await it.status(ids[0]))["type"] == "active", "not verified again"
        receiver.answer = (200, {})
        await it.say("three")
        await until(lambda: len(receiver.lines) == 3)
        assert receiver.lines == ["one", "two", "three"]
        assert len(receiver.of("verification")) == 1
        while (fares := await it.delivery(ids[0]))["sent"] < 3:
            await asyncio.sleep(0.05)
        assert (fares["waiting"], fares["setAside"], fares["lagSeconds"]) == (0, 0, None)
        assert fares["sentBytes"] > 100

    on_a_server(tmp_path, before)
    on_a_server(tmp_path, after)


def test_the_kinds_and_their_fields_for_forms(tmp_path: Path) -> None:
    async def test(it: Streaming) -> None:
        _, told = await it.ask("GET", "/api/pyconvex/log_streams")
        assert told["streams"] == []
        webhook = next(kind for kind in told["types"] if kind["logStreamType"] == "webhook")
        assert (webhook["title"], webhook["choosesTopics"]) == ("Webhook", True)
        url = webhook["fields"][0]
        assert (url["name"], url["kind"], url["required"]) == ("url", "url", True)
        assert url["invalid_message"] == "Must be a valid URL"
        assert "console" in told["topics"]

    on_a_server(tmp_path, test)
