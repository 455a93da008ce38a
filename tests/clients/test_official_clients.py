"""Official clients, as released, call functions and follow queries."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
from driving import PATIENCE_S, Client, ClientError
from serving import Line, Served

VALUES: list[Any] = [
    None,
    True,
    0.0,
    1.5,
    -12345.0,
    {"$float": "AAAAAAAAAIA="},
    {"$float": "AAAAAAAA8H8="},
    {"$integer": "BwAAAAAAAAA="},
    {"$integer": "AAAAAAAAAIA="},
    {"$bytes": ""},
    {"$bytes": "AQL/"},
    "",
    "ёж 🦔 \u0000 \\",
    [[], {}, [1.0, None]],
    {"a b": {"": 2.0}, "z": "y"},
]


@pytest.mark.parametrize("command", ["httpQuery", "query", "httpAction", "action"])
def test_values_come_back_as_they_went(client: Client, command: str) -> None:
    path = "values:echo_action" if "ction" in command else "values:echo"
    assert client.call(command, path, value=VALUES) == {"value": VALUES}


@pytest.mark.parametrize("http", [True, False])
def test_a_mutation_and_an_action_write_what_a_query_reads(
    client: Client, name: str, http: bool
) -> None:
    query, mutation, action = (
        ("httpQuery", "httpMutation", "httpAction") if http else ("query", "mutation", "action")
    )
    assert client.call(query, "counters:get", name=name) == 0.0
    assert client.call(mutation, "counters:add", name=name, by=2.5) == 2.5
    assert client.call(action, "counters:add_from_action", name=name, by=1) == 3.5
    assert client.call(query, "counters:get", name=name) == 3.5


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("httpMutation", "errors:refuse"),
        ("httpQuery", "errors:refuse_query"),
        ("httpAction", "errors:refuse_action"),
        ("mutation", "errors:refuse"),
        ("query", "errors:refuse_query"),
        ("action", "errors:refuse_action"),
    ],
)
def test_an_application_error_arrives_with_its_data(
    client: Client, command: str, path: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client.call(command, path)
    assert caught.value.name == "ConvexError"
    assert caught.value.data == {"code": "NOPE", "args": {}}


@pytest.mark.parametrize(
    ("command", "path", "told"),
    [
        ("httpMutation", "errors:crash", "Uncaught ValueError: it broke"),
        ("mutation", "errors:crash", "Uncaught ValueError: it broke"),
        ("query", "errors:crash_query", "Uncaught ValueError: it broke"),
        ("query", "no:where", "Could not find public function for 'no:where'"),
        ("mutation", "counters:secret", "Could not find public function for 'counters:secret'"),
        ("httpQuery", "counters:add", "as Query, but it is defined as Mutation"),
        ("action", "counters:get", "as Action, but it is defined as Query"),
    ],
)
def test_a_developer_error_arrives_as_a_plain_one(
    client: Client, command: str, path: str, told: str
) -> None:
    with pytest.raises(ClientError, match=told) as caught:
        client.call(command, path)
    assert caught.value.name != "ConvexError"
    assert "Server Error" in str(caught.value)


def test_a_subscription_follows_mutations_of_others(client: Client, line: Line, name: str) -> None:
    client.do("subscribe", name="s", path="messages:list", args={"room": name})
    client.seen("s", [])
    client.call("httpMutation", "messages:send", room=name, author="Ann", body="hi")
    client.seen("s", [{"author": "Ann", "body": "hi"}])
    client.call("mutation", "messages:send", room=name, author="Bob", body="ho")
    client.seen("s", [{"author": "Ann", "body": "hi"}, {"author": "Bob", "body": "ho"}])


def test_a_result_of_many_megabytes_arrives(client: Client, name: str) -> None:
    """To npm's clients in parts."""
    body = "é" + "x" * 800_000
    for number in range(7):
        client.call("httpMutation", "messages:send", room=name, author=f"{number}", body=body)
    client.do("subscribe", name="s", path="messages:list", args={"room": name})
    client.seen("s", [{"author": f"{number}", "body": body} for number in range(7)])


def test_a_mutation_is_over_when_its_writes_are_seen(client: Client, name: str) -> None:
    client.do("subscribe", name="s", path="counters:get", args={"name": name})
    client.seen("s", 0.0)
    client.call("mutation", "counters:add", name=name, by=1)
    client.seen("s", 1.0)


def test_mutations_of_a_client_run_in_its_order(npm: Client, name: str) -> None:
    npm.do("subscribe", name="s", path="messages:list", args={"room": name})
    asked = [
        npm.start("mutation", path="messages:send", args={"room": name, "author": "a", "body": b})
        for b in "abcdefghij"
    ]
    for id in asked:
        npm.outcome(id)
    npm.seen("s", [{"author": "a", "body": b} for b in "abcdefghij"])


def test_a_query_that_fails_lives_on(client: Client, name: str) -> None:
    client.do("subscribe", name="s", path="counters:at_most", args={"name": name, "limit": 1})
    client.seen("s", 0.0)
    client.call("mutation", "counters:add", name=name, by=5)
    assert client.failed("s").data == {"code": "TOO_MANY", "total": 5.0}
    client.call("mutation", "counters:add", name=name, by=-5)
    client.seen("s", 0.0)


def test_what_nobody_follows_any_more_is_not_sent(npm: Client, name: str) -> None:
    for subscription in ("one", "two"):
        npm.do("subscribe", name=subscription, path="counters:get", args={"name": name})
        npm.seen(subscription, 0.0)
    npm.do("unsubscribe", name="one")
    npm.call("mutation", "counters:add", name=name, by=1)
    npm.seen("two", 1.0)
    assert not [line for line in npm.said if line.get("subscription") == "one"]


def test_a_subscription_survives_a_cut_line(client: Client, line: Line, name: str) -> None:
    client.do("subscribe", name="s", path="counters:get", args={"name": name})
    client.seen("s", 0.0)
    line.cut()
    client.call("httpMutation", "counters:add", name=name, by=1)
    client.seen("s", 1.0)
    client.call("mutation", "counters:add", name=name, by=1)
    client.seen("s", 2.0)


def test_coming_back_does_not_look_like_loading(npm: Client, line: Line, name: str) -> None:
    npm.do("setAdminAuth", key=line.admin_key)
    query = {"path": "counters:secret", "args": {"name": name}}
    npm.do("subscribe", name="s", **query)
    npm.seen("s", 0.0)
    npm.do("watchLoading", **query)
    for total in (1.0, 2.0):
        line.cut()
        npm.call("httpMutation", "counters:add", name=name, by=1)
        npm.seen("s", total)
    shown = [line["loading"] for line in npm.said if "loading" in line]
    assert shown
    assert not any(shown)


def test_a_mutation_whose_answer_was_lost_runs_once(
    npm: Client, served: Served, line: Line, name: str
) -> None:
    npm.do("subscribe", name="s", path="counters:get", args={"name": name})
    npm.seen("s", 0.0)
    line.deafen()
    asked = npm.start("mutation", path="counters:add", args={"name": name, "by": 1})
    wait_until_counted(served, name)
    line.cut()
    assert npm.outcome(asked) == 1.0
    npm.seen("s", 1.0)
    assert npm.call("httpQuery", "counters:get", name=name) == 1.0


def wait_until_counted(served: Served, name: str) -> None:
    """Ask past the line, until the mutation has been committed."""
    deadline = time.monotonic() + PATIENCE_S
    body = {"path": "counters:get", "args": {"name": name}}
    while httpx2.post(served.url + "/api/query", json=body).json()["value"] != 1.0:
        assert time.monotonic() < deadline, "the mutation never ran"


def test_an_administrator_may_call_internal_functions(client: Client, line: Line) -> None:
    client.do("httpSetAdminAuth", key=line.admin_key)
    assert client.call("httpQuery", "counters:secret", name="x") == 0.0
    client.do("setAdminAuth", key=line.admin_key)
    assert client.call("query", "counters:secret", name="x") == 0.0


def test_an_administrator_may_act_as_a_user(npm: Client, line: Line) -> None:
    ann = {"issuer": "https://i", "subject": "ann", "name": "Ann"}
    whole = {**ann, "tokenIdentifier": "https://i|ann"}
    npm.do("httpSetAdminAuth", key=line.admin_key, actingAs=ann)
    assert npm.call("httpQuery", "users:whoami") == whole
    npm.do("setAdminAuth", key=line.admin_key, actingAs=ann)
    assert npm.call("query", "users:whoami") == whole


#: `{"alg":"RS256"}`, `{}`, and a signature: a token of no issuer.
OF_NOBODY = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"


def test_a_token_that_nobody_vouches_for_is_refused(client: Client) -> None:
    client.do("httpSetAuth", token=OF_NOBODY)
    with pytest.raises(ClientError, match="NoAuthProvider"):
        client.call("httpQuery", "values:echo", value=1)


def test_an_app_that_can_not_log_in_goes_on_as_nobody(npm: Client, name: str) -> None:
    npm.do("subscribe", name="s", path="counters:get", args={"name": name})
    npm.seen("s", 0.0)
    npm.do("setAuth", token=OF_NOBODY)
    npm.wait_for(lambda line: line.get("authenticated") is False)
    npm.call("mutation", "counters:add", name=name, by=1)
    npm.seen("s", 1.0)


def test_log_lines_are_printed_where_the_client_runs(npm: Client, name: str) -> None:
    npm.call("mutation", "messages:send", room=name, author="a", body="a fox")
    printed = npm.wait_for(lambda line: "[CONVEX M(messages:send)]" in line.get("printed", ""))
    assert "sent a fox" in printed["printed"]


def test_a_consistent_query(npm: Client, name: str) -> None:
    npm.call("httpMutation", "counters:add", name=name, by=4)
    assert npm.call("httpConsistentQuery", "counters:get", name=name) == 4.0


def test_any_function_for_an_administrator(npm: Client, line: Line, name: str) -> None:
    npm.do("httpSetAdminAuth", key=line.admin_key)
    for path in ("counters:add", "counters:add_from_action", "counters:secret"):
        args = {"name": name} if path.endswith("secret") else {"name": name, "by": 1}
        assert npm.do("httpFunction", path=path, args=args) in (1.0, 2.0)
