"""The function endpoints: bodies, envelopes, errors."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from asking import ADMIN, Asking
from memory_deployment import FIRST_TS

from pyconvex.http.functions import MAX_BODY_BYTES
from pyconvex.runtime.calls import HostError


def call(path: str, args: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "path": path,
        "args": {} if args is None else args,
        "format": "convex_encoded_json",
        **more,
    }


def test_a_query_a_mutation_and_an_action() -> None:
    asking = Asking()
    sent = asking.post("/api/mutation", call("messages:send", {"author": "a", "body": "b"}))
    assert (sent.status, sent.headers["content-type"]) == (200, "application/json")
    assert sent.json == {"status": "success", "value": None, "logLines": ["[LOG] sent b"]}
    listed = asking.post("/api/query", call("messages:list"))
    assert listed.json == {"status": "success", "value": [{"author": "a", "body": "b"}]}
    added = asking.post("/api/action", call("counters:add_from_action", {"name": "x", "by": 2}))
    assert added.body == b'{"status":"success","value":2.0}'


@pytest.mark.parametrize("args", [{"n": 1}, [{"n": 1}]])
def test_arguments_are_an_object_or_one_in_an_array(args: Any) -> None:
    assert Asking().post("/api/query", call("values:echo", args)).json["value"] == {"n": 1.0}


def test_no_arguments_are_an_empty_object() -> None:
    assert Asking().post("/api/query", call("values:echo", [])).json["value"] == {}


@pytest.mark.parametrize("args", [1, None, "x", [1], [{}, {}]])
def test_other_arguments_are_a_400(args: Any) -> None:
    body = {**call("values:echo"), "args": args}
    assert Asking().post("/api/query", body).refusal == (400, "BadJsonBody")


@pytest.mark.parametrize("path", ["values:echo", "values.js:echo"])
def test_paths_are_normalised(path: str) -> None:
    assert Asking().post("/api/query", call(path)).json["status"] == "success"


@pytest.mark.parametrize("path", ["dir/deep", "dir/deep.js", "dir/deep:default"])
def test_the_default_export_needs_no_name(path: str) -> None:
    assert Asking().post("/api/query", call(path)).json["status"] == "success"


@pytest.mark.parametrize("path", ["", ":f", "a b:f", "a.ts:f", "../a:f", "/a:f", "a:1f", "a:__"])
def test_what_is_no_path_is_a_400(path: str) -> None:
    answer = Asking().post("/api/query", call(path))
    assert answer.refusal == (400, "BadConvexFunctionIdentifier")


def test_an_application_error_is_a_200_with_data() -> None:
    answer = Asking().post("/api/mutation", call("errors:refuse", {"a": 1}))
    assert (answer.status, answer.json) == (
        200,
        {
            "status": "error",
            "errorMessage": "[Request ID: 0123456789abcdef] Server Error\n"
            'Uncaught ConvexError: {"args":{"a":1.0},"code":"NOPE"}\n',
            "errorData": {"code": "NOPE", "args": {"a": 1.0}},
        },
    )


def test_a_developer_error_is_a_200_without_data() -> None:
    answer = Asking().post("/api/mutation", call("errors:crash"), **{"convex-request-id": "mine"})
    assert (answer.status, answer.json) == (
        200,
        {
            "status": "error",
            "errorMessage": "[Request ID: mine] Server Error\nUncaught ValueError: it broke\n",
        },
    )


def test_redaction_keeps_data_only() -> None:
    asking = Asking(redact=True)
    failed = asking.post("/api/mutation", call("errors:refuse"))
    assert failed.json["errorMessage"] == "[Request ID: 0123456789abcdef] Server Error"
    assert failed.json["errorData"] == {"code": "NOPE", "args": {}}
    sent = asking.post("/api/mutation", call("messages:send", {"author": "a", "body": "b"}))
    assert "logLines" not in sent.json


def test_hidden_missing_and_mistaken_functions_are_errors_of_the_function() -> None:
    asking = Asking()
    for path in ("counters:secret", "counters:none"):
        told = asking.post("/api/query", call(path)).json["errorMessage"]
        assert f"Could not find public function for '{path}'." in told
    told = asking.post("/api/query", call("messages:send")).json["errorMessage"]
    assert "as Query, but it is defined as Mutation." in told


SAMPLE = {
    "int": {"$integer": "BwAAAAAAAAA="},
    "float": 1.5,
    "whole": 2,
    "nan": {"$float": "AAAAAAAA+H8="},
    "bytes": {"$bytes": "AQI="},
}


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ("convex_encoded_json", SAMPLE),
        ("convex_json", SAMPLE),
        ("json", {"int": "7", "float": 1.5, "whole": 2.0, "nan": "NaN", "bytes": "AQI="}),
        (None, {"int": "7", "float": 1.5, "whole": 2.0, "nan": "NaN", "bytes": "AQI="}),
        ("export_json", {**SAMPLE, "int": 7}),
    ],
)
def test_formats(format: str | None, value: Any) -> None:
    answer = Asking().post("/api/query", call("values:echo", SAMPLE, format=format))
    assert answer.json["value"] == value


def test_the_format_holds_for_error_data_too() -> None:
    body = call("errors:refuse", {"n": {"$integer": "BwAAAAAAAAA="}}, format="json")
    assert Asking().post("/api/mutation", body).json["errorData"]["args"] == {"n": "7"}


def test_an_unknown_format_is_a_400() -> None:
    answer = Asking().post("/api/query", call("values:echo", format="xml"))
    assert answer.refusal == (400, "BadFormat")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"path":"a:b"}',
        b'{"path":1,"args":{}}',
        b'{"path":"a","args":{"x":"\xff"}}',
    ],
)
def test_a_body_that_is_no_call_is_a_400(body: bytes) -> None:
    assert Asking().post("/api/query", body).refusal == (400, "BadJsonBody")


def test_a_body_of_another_type_is_a_400() -> None:
    body = json.dumps(call("values:echo")).encode()
    answer = Asking().ask("POST", "/api/query", body, {"content-type": "text/plain"})
    assert answer.refusal == (400, "BadJsonBody")


def test_a_declared_length_beyond_the_cap_is_refused_unread() -> None:
    asking = Asking()
    answer = asking.post("/api/query", b"{}", **{"content-length": str(MAX_BODY_BYTES + 1)})
    assert answer.refusal[0] == 413
    assert len(asking.unread) == 1


def test_an_undeclared_length_is_refused_at_the_cap() -> None:
    asking = Asking()
    chunks = [b" " * (1024 * 1024)] * 20
    answer = asking.ask("POST", "/api/query", chunks, {"content-type": "application/json"})
    assert answer.refusal[0] == 413
    assert len(asking.unread) == 3


def test_chunks_are_put_together() -> None:
    body = json.dumps(call("values:echo", {"a": 1})).encode()
    chunks = [body[i : i + 7] for i in range(0, len(body), 7)]
    answer = Asking().ask("POST", "/api/query", chunks, {"content-type": "application/json"})
    assert answer.json["value"] == {"a": 1.0}


def test_a_query_by_get() -> None:
    args = quote('{"n":1}')
    answer = Asking().get(f"/api/query?path=values:echo&args={args}&format=json")
    assert answer.json == {"status": "success", "value": {"n": 1.0}}
    assert Asking().get("/api/query?path=values:echo").refusal == (400, "BadQueryArgs")
    assert Asking().get("/api/query?path=a:b&args=nonsense").refusal == (400, "BadJsonBody")


def test_any_function_by_the_administrator() -> None:
    asking = Asking()
    assert asking.post("/api/function", call("values:echo")).refusal == (403, "BadDeployKey")
    for path in ("counters:secret", "counters:add", "counters:add_from_action"):
        body = call(path, {"name": "x", "by": 1}, componentPath=None)
        assert asking.post("/api/function", body, **ADMIN).json["status"] == "success"
    missing = asking.post("/api/function", call("no:where"), **ADMIN).json["errorMessage"]
    assert "Could not find function" in missing


def test_any_public_function_by_its_url() -> None:
    asking = Asking()
    body = {"args": {"name": "x", "by": 4}}
    assert asking.post("/api/run/counters/add", body).json["value"] == 4.0
    assert asking.post("/api/run/dir/deep/default", {"args": {}}).json["value"] == {}
    hidden = asking.post("/api/run/counters/secret", body).json["errorMessage"]
    assert "Could not find public function" in hidden
    assert asking.post("/api/run/counters", body).refusal == (400, "MissingIdentifier")


def test_many_queries_at_one_timestamp() -> None:
    asking = Asking()
    queries = [
        call("counters:get", {"name": "x"}),
        call("errors:crash_query"),
        {"path": "values:echo", "args": {"n": {"$integer": "BwAAAAAAAAA="}}},
    ]
    answer = asking.post("/api/query_batch", {"queries": queries})
    one, two, three = answer.json["results"]
    assert one == {"status": "success", "value": 0.0}
    assert two["status"] == "error"
    assert three["value"] == {"n": "7"}
    assert asking.deployment.watching == set()
    assert asking.post("/api/query_batch", {"queries": []}).json == {"results": []}


def test_a_consistent_query() -> None:
    asking = Asking()
    at = asking.post("/api/query_ts", b"").json["ts"]
    assert int.from_bytes(base64.b64decode(at), "little") == FIRST_TS
    answer = asking.post("/api/query_at_ts", call("counters:get", {"name": "x"}, ts=at))
    assert answer.json["value"] == 0.0


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"authorization": "Bearer a.b.c"}, (401, "InvalidAuthHeader")),
        (
            {"authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln"},
            (401, "NoAuthProvider"),
        ),
        ({"authorization": "Convex x|bad"}, (401, "BadAdminKey")),
        ({"authorization": "Basic whatever"}, (400, "InvalidAdminKey")),
        ({"authorization": "x"}, (400, "InvalidHeaderFailure")),
    ],
)
def test_a_bad_credential_fails_public_functions_too(
    headers: dict[str, str], refusal: tuple[int, str]
) -> None:
    asking = Asking()
    assert asking.post("/api/query", call("messages:list"), **headers).refusal == refusal
    assert asking.deployment.runs == {}


def test_the_admin_key_may_come_as_a_parameter() -> None:
    answer = Asking().post("/api/query?adminKey=x%7Cgoodkey", call("users:whoami"))
    assert answer.json["value"] == "admin"


def test_acting_as_reaches_the_function() -> None:
    suffix = base64.b64encode(b'{"issuer":"i","subject":"s"}').decode()
    headers = {"authorization": f"Convex x|goodkey:{suffix}"}
    answer = Asking().post("/api/query", call("users:whoami"), **headers)
    assert answer.json["value"]["tokenIdentifier"] == "i|s"


def test_what_the_host_can_not_do_is_its_status() -> None:
    asking = Asking()
    asking.deployment.faults["counters:add"] = HostError(503, "OptimisticConcurrency", "again")
    answer = asking.post("/api/mutation", call("counters:add", {"name": "x", "by": 1}))
    assert answer.refusal == (503, "OptimisticConcurrency")


def test_the_session_header_names_the_session_of_a_call() -> None:
    asking = Asking()
    call = {"path": "counters:add", "args": {"name": "a", "by": 1.0}, "format": "json"}
    session = {"x-posthog-session-id": " 0199-af3c "}
    asking.post("/api/mutation", call, **session)
    asking.deployment.session_header = "x-posthog-session-id"
    asking.post("/api/mutation", call, **session)
    asking.post("/api/run/counters/add", call, **session)
    asking.post("/api/action", call | {"path": "counters:add_from_action"}, **session)
    asking.post("/api/mutation", call, **{"x-posthog-session-id": "two words"})
    asking.post("/api/mutation", call)
    asking.post("/api/query", call | {"path": "values:echo"}, **session)
    assert asking.deployment.sessions == ["", *["0199-af3c"] * 3, "", "", "0199-af3c"]
