"""Routes, CORS, tools' endpoints, and what is not there."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from asking import ADMIN, Asking

from pyconvex.storage import StorageFailure

ORIGIN = {"origin": "https://shop.example"}


def test_health_name_and_version() -> None:
    asking = Asking()
    assert asking.get("/version").body == b"1.2.3"
    assert asking.get("/instance_version").body == b"1.2.3"
    assert asking.get("/instance_name").body == b"hedgehog"
    assert asking.get("/instance_name").headers["content-type"].startswith("text/plain")
    assert asking.get("/").status == 200


def test_head_is_get_without_body() -> None:
    answer = Asking().ask("HEAD", "/version")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "5")


def test_echo_gives_the_body_back() -> None:
    body = bytes(range(256)) * 16 * 1024
    assert Asking().ask("POST", "/echo", body).body == body


@pytest.mark.parametrize("path", ["//api//query", "//version", "/api///query_ts"])
def test_doubled_slashes_are_one(path: str) -> None:
    assert Asking().ask("OPTIONS", path).status == 200
    assert Asking().get(path).status in (200, 400, 405)
    assert b"does not serve" not in Asking().get(path).body


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/api/deploy2/start_push", "`pyconvex deploy`"),
        ("/api/get_config_hashes", "`pyconvex codegen`"),
        ("/api/v1/get_canonical_urls", "`pyconvex dev`"),
        ("/api/run_test_function", "`pyconvex run`"),
        ("/api/export/request/zip", "`pyconvex backup`"),
        ("/api/import/start_upload", "`pyconvex restore`"),
        ("/api/storage/upload", "in a store of your own"),
        ("/api/shapes2", "does not serve /api/shapes2"),
    ],
)
def test_what_convexs_tools_ask_in_vain_is_refused_at_once(path: str, instead: str) -> None:
    answer = Asking().ask("POST", path, b"{}")
    # The official CLI repeats a request that is answered with 404.
    assert (answer.status, answer.json["code"]) == (400, "UnsupportedEndpoint")
    assert instead in answer.json["message"]


def test_a_preflight_is_granted() -> None:
    asked = {
        **ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type, convex-client, authorization",
    }
    answer = Asking().ask("OPTIONS", "/api/query", b"", asked)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-methods"] == "GET,POST,PUT,PATCH,DELETE,OPTIONS"
    allowed = answer.headers["access-control-allow-headers"]
    assert allowed == "content-type, convex-client, authorization"
    assert answer.headers["access-control-max-age"] == "86400"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/version"), ("POST", "/api/query"), ("GET", "/nowhere"), ("GET", "/api/nowhere")],
)
def test_every_answer_may_be_read_by_a_page(method: str, path: str) -> None:
    answer = Asking().ask(method, path, b"", ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert "access-control-allow-origin" not in Asking().ask(method, path).headers


def test_the_official_cli_does_not_repeat_what_is_not_there() -> None:
    asking = Asking()
    assert asking.get("/api/shapes2").refusal == (400, "UnsupportedEndpoint")
    deploy = asking.post("/api/deploy2/start_push", {})
    assert deploy.refusal == (400, "UnsupportedEndpoint")
    assert "pyconvex deploy" in deploy.json["message"]
    assert asking.post("/api/get_config_hashes", {}).refusal == (400, "UnsupportedEndpoint")
    assert asking.get("/nowhere").refusal == (404, "NotFound")


def test_another_method_is_told_which_it_could_be() -> None:
    answer = Asking().get("/api/mutation")
    assert answer.refusal == (405, "MethodNotAllowed")
    assert answer.headers["allow"] == "POST"


def test_check_admin_key() -> None:
    asking = Asking()
    assert asking.get("/api/check_admin_key", **ADMIN).json["success"] is True
    assert asking.get("/api/check_admin_key").refusal == (403, "BadDeployKey")


def test_variables_are_listed_and_changed_together() -> None:
    asking = Asking()
    changes = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    url = "/api/update_environment_variables"
    assert asking.post(url, {"changes": changes}, **ADMIN).status == 200
    bad = [{"name": "A", "value": None}, {"name": "no name", "value": "x"}]
    assert asking.post(url, {"changes": bad}, **ADMIN).refusal == (400, "BadEnvVarName")
    for listing in ("/api/list_environment_variables", "/api/v1/list_environment_variables"):
        variables = asking.get(listing, **ADMIN).json
        assert variables == {"environmentVariables": {"A": "1", "B": "2"}}
    assert asking.post(url, {"changes": [{"name": "A", "value": None}]}, **ADMIN).status == 200
    assert asking.deployment.variables == {"B": "2"}


def test_variables_are_for_the_administrator() -> None:
    asking = Asking()
    assert asking.get("/api/list_environment_variables").refusal == (403, "BadDeployKey")
    url = "/api/update_environment_variables"
    changes = {"changes": [{"name": "A", "value": "1"}]}
    assert asking.post(url, changes).refusal == (403, "BadDeployKey")
    assert asking.post(url, {"changes": [{}]}, **ADMIN).refusal == (400, "BadJsonBody")
    assert asking.deployment.variables == {}


def test_a_full_disk_is_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    asking = Asking()
    asking.deployment.faults["messages:list"] = StorageFailure("The disk is full: no room.")
    answer = asking.post("/api/query", {"path": "messages:list", "args": {}})
    assert answer.refusal == (503, "StorageFailure")
    assert b"The disk is full" in answer.body
    assert "could not be answered. The disk is full: no room." in caplog.text
    assert "Traceback" not in caplog.text


def test_a_bug_is_a_500_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    asking = Asking()
    asking.deployment.faults["messages:list"] = RuntimeError("secret detail")
    with caplog.at_level(logging.ERROR):
        answer = asking.post("/api/query", {"path": "messages:list", "args": {}}, **ORIGIN)
    assert answer.refusal == (500, "InternalServerError")
    assert b"secret" not in answer.body
    assert "access-control-allow-origin" in answer.headers
    assert "secret detail" in caplog.text


def test_a_client_that_leaves_during_its_request_gets_no_answer() -> None:
    sent: list[Any] = []

    async def run() -> None:
        messages = [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(event: Any) -> None:
            sent.append(event)

        headers = [(b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/query",
            "query_string": b"",
            "headers": headers,
        }
        await Asking().app(scope, receive, send)

    asyncio.run(run())
    assert sent == []


@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("/api/sync", True),
        ("/api/1.48.0/sync", True),
        ("//api/sync", True),
        ("/api/a/b/sync", False),
        ("/sync", False),
        ("/api/synced", False),
    ],
)
def test_web_sockets_go_to_the_sync_endpoint(path: str, served: bool) -> None:
    asking = Asking()
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(asking.app({"type": "websocket", "path": path}, receive, send))
    assert (asking.sockets == [path]) is served
    assert sent == ([] if served else [{"type": "websocket.close"}])


def test_the_server_may_ask_about_life_and_death() -> None:
    sent: list[str] = []

    async def run() -> None:
        messages = ["lifespan.startup", "lifespan.shutdown"]

        async def receive() -> Any:
            return {"type": messages.pop(0)}

        async def send(event: Any) -> None:
            sent.append(event["type"])

        await Asking().app({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("/http", "/"),
        ("/http/", "/"),
        ("/http/a", "/a"),
        ("/http//a", "//a"),
        ("/http/http/", "/http/"),
    ],
)
def test_what_is_below_http_goes_to_the_site(path: str, inner: str) -> None:
    asking = Asking()
    assert asking.ask("PURGE", path).status == 204
    assert asking.site_requests == [(inner, None)]


@pytest.mark.parametrize("path", ["/httpx", "/http.py", "/api/http/a"])
def test_what_is_not(path: str) -> None:
    asking = Asking()
    asking.get(path)
    assert asking.site_requests == []
