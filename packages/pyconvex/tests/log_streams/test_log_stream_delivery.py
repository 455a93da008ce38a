"""What streams carry of a running server, in which order, and what a receiver can do to them."""

from __future__ import annotations

import json
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


def test_lines_and_executions_of_every_kind_of_function(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver)
        await it.say("hello")
        await it.call("action", "shop:work", text="in an action")
        await it.call("mutation", "shop:fail", text="no")
        await it.call("query", "shop:look")
        await it.call("query", "shop:look")  # from the cache: a row, and no line again
        ran = receiver.of
        await until(lambda: len(ran("function_execution")) == 6)
        # An action gathers its lines for a moment, in which what it calls may tell its own.
        assert sorted(receiver.lines[1:3]) == ["in an action", "in an action inside"]
        assert [receiver.lines[0], *receiver.lines[3:]] == ["hello", "before no", "looking"]
        told = [
            (e["function"]["path"], e["status"], e["run_reason"], e["function"]["cached"])
            for e in ran("function_execution")
        ]
        assert told == [
            ("shop:say", "success", "httpApi", None),
            ("shop:say", "success", "action", None),
            ("shop:work", "success", "httpApi", None),
            ("shop:fail", "failure", "httpApi", None),
            ("shop:look", "success", "httpApi", False),
            ("shop:look", "success", "httpApi", True),
        ]
        failed = ran("function_execution")[3]
        assert failed["error_message"].startswith("Uncaught ValueError: no\n")
        assert failed["usage"]["function_returns_bytes"] is None
        assert ran("exception") == [], "errors go to streams that report errors"
        assert {e["convex"]["deployment_name"] for e in receiver.events} == {"local"}

    on_a_server(tmp_path, test)


def test_what_a_function_told_before_it_died_comes_with_how_it_did(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver)
        await it.call("mutation", "shop:die", text="so far")
        await until(lambda: receiver.of("function_execution"))
        assert receiver.lines == ["so far", "and then"]
        (execution,) = receiver.of("function_execution")
        assert execution["status"] == "failure"
        assert "exited with status 7" in execution["error_message"]
        ids = [e["function"]["request_id"] for e in receiver.of("console")]
        assert ids == [execution["function"]["request_id"]] * 2
        (shown,) = it.server._run_log.recent.after(0)
        assert [line.text for line in shown.report.lines] == ["so far", "and then"]
        assert (shown.report.user_id, shown.report.session_id) == ("ada", "session-ada")

    on_a_server(tmp_path, test)


def test_a_stream_gets_the_topics_that_it_chose(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver, topics=["audit_log"])
        await it.say("not wanted")
        body = {"changes": [{"name": "SECRET_TOKEN", "value": "canary-variable"}]}
        assert (await it.ask("POST", "/api/update_environment_variables", body))[0] == 200
        changed = {"changes": [{"name": "SECRET_TOKEN", "value": None}]}
        assert (await it.ask("POST", "/api/update_environment_variables", changed))[0] == 200
        await until(lambda: len(receiver.of("audit_log")) >= 2)
        told = [
            (e["audit_log_action"], json.loads(e["audit_log_metadata"]))
            for e in receiver.of("audit_log")
        ]
        about = {"variable_name": "SECRET_TOKEN"}
        assert told[-2:] == [
            ("create_environment_variable", about),
            ("delete_environment_variable", about),
        ]
        url = f"/api/v1/update_log_stream/{id}"
        await it.ask("POST", url, {"logStreamType": "webhook", "topics": ["console"]})
        await it.until_state(id, "active")
        await it.say("wanted")
        await until(lambda: receiver.lines)
        assert receiver.lines == ["wanted"]
        assert receiver.of("function_execution") == []

    on_a_server(tmp_path, test)


def test_what_operators_do_with_tables_is_told_in_convexs_fields(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=["audit_log"])
        await it.call("mutation", "shop:keep", text="one")
        _, page = await it.ask("POST", "/api/v1/data/sync", {})
        deleted = {"tableNames": ["things"]}
        assert (await it.ask("POST", "/api/delete_tables", deleted))[0] == 200
        told = receiver.of
        await until(lambda: told("audit_log") and _action(told("audit_log")[-1]) == "delete_tables")
        about = {_action(e): json.loads(e["audit_log_metadata"]) for e in told("audit_log")}
        assert about["create_data_sync"] == {"sync_id": page["syncId"]}
        assert about["delete_tables"] == {"component": None, "table_names": ["things"]}

    on_a_server(tmp_path, test)


def _action(event: dict[str, Any]) -> str:
    return str(event["audit_log_action"])


def test_a_body_that_is_too_large_is_halved(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=["console"])
        receiver.max_bytes = 2500
        receiver.answer = (503, {})
        texts = [f"{n:03d}" + "x" * 200 for n in range(40)]
        await it.say(*texts)
        await until(lambda: receiver.requests >= 2)
        receiver.answer = (200, {})
        await until(lambda: len(receiver.lines) == 40)
        assert receiver.lines == texts
        assert max(map(len, receiver.bodies)) <= 2500

    on_a_server(tmp_path, test)


def test_a_line_that_nobody_takes_is_set_aside_and_the_others_go_on(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver, topics=["console"])
        take = receiver.take

        def picky(body: bytes, signature: str) -> tuple[int, dict[str, str]]:
            return (400, {}) if b"poison" in body else take(body, signature)

        receiver.take = picky  # type: ignore[method-assign]  # a receiver with a taste
        await it.say("one", "poison", "two")
        await until(lambda: receiver.lines == ["one", "two"])
        while (await it.delivery(id))["setAside"] != 1:
            pass
        aside = (tmp_path / "data" / "runlog" / "set_aside.jsonl").read_text()
        assert "poison" in aside

    on_a_server(tmp_path, test)


def test_another_secret_counts_from_the_next_request_and_nothing_is_lost(
    tmp_path: Path, receiver: Receiver
) -> None:
    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver, topics=["console"])
        for n in range(5):
            await it.say(f"before {n}")
        _, rotated = await it.ask("POST", f"/api/v1/rotate_webhook_secret/{id}")
        receiver.secret = rotated["hmacSecret"]
        await it.say("after")
        await until(lambda: "after" in receiver.lines)
        assert list(dict.fromkeys(receiver.lines)) == [*(f"before {n}" for n in range(5)), "after"]
        assert len(receiver.of("verification")) == 1

    on_a_server(tmp_path, test)


def test_a_file_and_the_terminal_beside_a_webhook(
    tmp_path: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"

    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=["console"])
        file = await it.create(logStreamType="file", path=str(path), topics=["console"])
        await it.until_state(file["id"], "active")
        await it.say("to all three")
        await until(lambda: receiver.lines and path.exists() and "to all" in path.read_text())

    on_a_server(tmp_path, test, print_events="text")
    (event,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert event["message"] == "'to all three'"
    printed = capfd.readouterr().out
    assert "[LOG] shop:say to all three" in printed
    assert "mutation shop:say success in" in printed


def test_what_is_logged_is_told_as_it_was_said(tmp_path: Path, receiver: Receiver) -> None:
    async def test(it: Streaming) -> None:
        await it.add_webhook(receiver, topics=["console"])
        await it.call("mutation", "shop:log", level=30, text="only %s left")
        await it.call("mutation", "shop:log", level=40, text="no %s left")
        await until(lambda: len(receiver.lines) == 2)
        told = [(e["log_level"], e["message"]) for e in receiver.of("console")]
        assert told == [("WARN", "'only tea left'"), ("ERROR", "'no tea left'")]

    on_a_server(tmp_path, test)


def test_a_dead_receiver_holds_up_no_other_stream(tmp_path: Path, receiver: Receiver) -> None:
    path = tmp_path / "events.jsonl"

    async def test(it: Streaming) -> None:
        id = await it.add_webhook(receiver, topics=["console"])
        await it.until_state(
            (await it.create(logStreamType="file", path=str(path)))["id"], "active"
        )
        receiver.answering.clear()
        await it.say("one", "two")
        await until(lambda: path.exists() and "\"'two'\"" in path.read_text())
        assert receiver.lines == []
        receiver.answering.set()
        await until(lambda: receiver.lines == ["one", "two"])
        assert (await it.delivery(id))["dropped"] == 0

    on_a_server(tmp_path, test)
