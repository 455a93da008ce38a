"""Who may do what: every route and every kind of function, for every kind of caller."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx2
import pytest
from edge_users import token_of
from serving import Served
from websockets.sync.client import connect

from pyconvex.dashboard import Dashboard, Sessions
from pyconvex.http import Deployment, Exports, create_app

PATIENCE_S = 30.0
ANN = {"issuer": "https://issuer.example", "subject": "ann"}
CALLERS = [
    *("anonymous", "ann", "administrator", "acting as ann"),
    *("wrong key", "other scheme", "no token", "expired", "forged"),
]
#: What a credential that is present and wrong gets, wherever it is read.
REFUSED = {"wrong key": 401, "other scheme": 400, "no token": 401, "expired": 401, "forged": 401}
KINDS = ["query", "mutation", "action"]
PUBLIC = {"query": "things:echo", "mutation": "things:put", "action": "things:relay"}
ARGUMENTS = {"query": {}, "mutation": {"key": "k"}, "action": {"key": "k"}}


#: Routes that run functions, which the tests of functions ask.
FUNCTIONS = {"/api/query", "/api/mutation", "/api/action", "/api/query_batch", "/api/query_at_ts"}
#: Routes that tell everybody the same.
OPEN = {"/", "/version", "/instance_version", "/instance_name", "/echo", "/api/query_ts"}


def routes_of_the_app() -> dict[str, dict[str, Any]]:
    """Every fixed route with its methods, from the application itself."""
    nothing: Any = object()
    app: Any = create_app(
        nothing,
        authenticator=nothing,
        environment=nothing,
        sync=nothing,
        deployment=Deployment(name="any", version="0"),
        operator=nothing,
        recent=nothing,
        exports=Exports(exporter=nothing, surveyor=nothing, active=nothing),
        log_streams=nothing,
        queues=nothing,
    )
    routes: dict[str, dict[str, Any]] = app._routes
    return routes


#: What is left is for administrators, so that a new route is theirs until a test says otherwise.
ADMINISTRATORS = sorted(
    (route, method)
    for route, methods in routes_of_the_app().items()
    if route not in FUNCTIONS | OPEN
    for method in methods
)


def headers_of(caller: str, served: Served) -> dict[str, str]:
    acting = base64.b64encode(json.dumps(ANN).encode()).decode()
    return {
        "anonymous": {},
        "ann": {"authorization": f"Bearer {token_of('ann')}"},
        "expired": {"authorization": f"Bearer {token_of('ann', lifetime_s=-60)}"},
        "forged": {"authorization": f"Bearer {token_of('ann', key='another')}"},
        "administrator": {"authorization": f"Convex {served.admin_key}"},
        "acting as ann": {"authorization": f"Convex {served.admin_key}:{acting}"},
        "wrong key": {"authorization": "Convex local|" + "0" * 64},
        "other scheme": {"authorization": "Basic YW5uOmFubg=="},
        "no token": {"authorization": "Bearer not-a-token"},
    }[caller]


def is_admin(caller: str) -> bool:
    return caller in ("administrator", "acting as ann")


def post(served: Served, route: str, caller: str, body: Any) -> httpx2.Response:
    headers = headers_of(caller, served)
    return httpx2.post(f"{served.url}{route}", json=body, headers=headers, timeout=PATIENCE_S)


def run_url(path: str) -> str:
    return "/api/run/" + path.replace(":", "/")


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["its route", "/api/run"])
def test_public_functions_are_for_everybody_with_no_wrong_credential(
    served: Served, caller: str, kind: str, way: str
) -> None:
    if way == "its route":
        body = {"path": PUBLIC[kind], "args": ARGUMENTS[kind]}
        answer = post(served, f"/api/{kind}", caller, body)
    else:
        answer = post(served, run_url(PUBLIC[kind]), caller, {"args": ARGUMENTS[kind]})
    if caller in REFUSED:
        assert answer.status_code == REFUSED[caller], answer.text
        assert set(answer.json()) == {"code", "message"}
    else:
        assert (answer.status_code, answer.json()["status"]) == (200, "success"), answer.text


@pytest.mark.parametrize("caller", ["anonymous", "ann", "administrator", "acting as ann"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["its route", "/api/run"])
def test_internal_functions_are_there_for_administrators_alone(
    served: Served, caller: str, kind: str, way: str
) -> None:
    path = f"things:hidden_{kind}"
    if way == "its route":
        answer = post(served, f"/api/{kind}", caller, {"path": path, "args": {}})
    else:
        answer = post(served, run_url(path), caller, {"args": {}})
    found = answer.json()
    if is_admin(caller):
        assert found["value"] == "hidden"
    else:
        missing = post(served, f"/api/{kind}", caller, {"path": "things:hidden_x", "args": {}})
        for text in (found["errorMessage"], missing.json()["errorMessage"]):
            assert "Could not find public function for 'things:hidden_" in text


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("path", ["things:echo", "things:hidden_mutation"])
def test_any_function_by_name_is_for_administrators(served: Served, caller: str, path: str) -> None:
    answer = post(served, "/api/function", caller, {"path": path, "args": {}})
    if is_admin(caller):
        assert answer.json()["status"] == "success"
    else:
        assert answer.status_code == REFUSED.get(caller, 403)


@pytest.mark.parametrize(("route", "method"), ADMINISTRATORS)
def test_every_other_route_is_for_administrators(served: Served, route: str, method: str) -> None:
    for caller in CALLERS:
        answer = httpx2.request(
            method,
            f"{served.url}{route}",
            headers={"content-type": "application/json", **headers_of(caller, served)},
            content=b"" if method == "GET" else b"{}",
            timeout=PATIENCE_S,
        )
        if is_admin(caller):
            # A body may say nothing, and there may be nothing by that id.
            assert answer.status_code in (200, 400, 404), answer.text
        else:
            # Who follows logs hears 403 alone: the official CLI repeats everything else.
            assert answer.status_code in {403, REFUSED.get(caller, 403)}, answer.text
            assert set(answer.json()) == {"code", "message"}


#: The dashboard's pages that everybody may see.
OPEN_PAGES = {"/dashboard/sign_in", "/dashboard/sign_in/{link}", "/dashboard/assets/{name}"}


def pages_of_the_dashboard() -> list[tuple[str, str]]:
    """Every page and form of the dashboard, from itself."""
    nothing: Any = object()
    dashboard = Dashboard(
        Sessions(),
        nothing,
        nothing,
        log_streams=nothing,
        companions=nothing,
        queues=nothing,
        host=nothing,
        deployment="any",
    )
    return sorted(
        (route.path, method)
        for route in dashboard.routes
        for method in route.methods or ()
        if route.path not in OPEN_PAGES
    )


@pytest.mark.parametrize(("page", "method"), pages_of_the_dashboard())
def test_the_dashboard_is_for_who_is_signed_in(served: Served, page: str, method: str) -> None:
    """A session alone opens it: a key or token in a header does not, nor does another's cookie."""
    path = re.sub(r"\{[^}]*\}", "some", page)
    port = served.url.rpartition(":")[2]
    for caller in CALLERS:
        answer = httpx2.request(
            method,
            f"{served.url}{path}",
            headers={"origin": served.url, **headers_of(caller, served)},
            cookies={f"pyconvex_{port}": "not-a-session"},
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 401, answer.text
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("caller", CALLERS)
def test_a_link_to_the_dashboard_is_for_administrators(served: Served, caller: str) -> None:
    answer = post(served, "/api/pyconvex/sign_in_link", caller, {})
    if not is_admin(caller):
        assert answer.status_code == REFUSED.get(caller, 403)
        assert "/dashboard/" not in answer.text
        return
    url = answer.json()["url"]
    assert url.startswith(f"{served.url}/dashboard/sign_in/")
    link = url.rpartition("/")[2]
    with httpx2.Client(base_url=served.url, headers={"origin": served.url}) as client:
        assert client.get(url).status_code == 200
        signed_in = client.post("/dashboard/sign_in", data={"link": link})
        assert signed_in.status_code == 303
        assert client.get("/dashboard", follow_redirects=True).status_code == 200
        assert client.post("/dashboard/sign_in", data={"link": link}).status_code == 410


@pytest.mark.parametrize("caller", ["anonymous", "ann", "administrator", "acting as ann"])
def test_the_hosts_own_queries_are_for_administrators(served: Served, caller: str) -> None:
    body = {"path": "_system/cli/queryEnvironmentVariables", "args": {}}
    answer = post(served, "/api/query", caller, body).json()
    assert answer["status"] == ("success" if is_admin(caller) else "error"), answer


@pytest.mark.parametrize("caller", CALLERS)
def test_variables_are_for_administrators(served: Served, caller: str) -> None:
    headers = headers_of(caller, served)
    for version in ("/api", "/api/v1"):
        listed = httpx2.get(
            f"{served.url}{version}/list_environment_variables", headers=headers, timeout=PATIENCE_S
        )
        changes = {"changes": [{"name": "NAME", "value": "secret"}]}
        changed = post(served, f"{version}/update_environment_variables", caller, changes)
        if is_admin(caller):
            assert (listed.status_code, changed.status_code) == (200, 200)
        else:
            status = REFUSED.get(caller, 403)
            assert (listed.status_code, changed.status_code) == (status, status)
            assert "secret" not in listed.text
    assert is_admin(caller) == (
        httpx2.get(
            f"{served.url}/api/check_admin_key", headers=headers, timeout=PATIENCE_S
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("caller", "who"),
    [("anonymous", None), ("ann", "ann"), ("administrator", None), ("acting as ann", "ann")],
)
def test_a_function_sees_whom_the_caller_is_or_acts_as(
    served: Served, caller: str, who: str | None
) -> None:
    answer = post(served, "/api/query", caller, {"path": "things:who", "args": {}})
    assert answer.json()["value"] == who


@pytest.mark.parametrize("caller", ["anonymous", "ann", "administrator"])
def test_a_socket_finds_what_its_caller_may_see(served: Served, caller: str) -> None:
    said: list[dict[str, Any]] = [
        {"type": "Connect", "sessionId": "6d0f2fe5-1f1d-4d9e-9b0a-2a6f7f0c9a11"}
    ]
    credentials = {
        "administrator": {"tokenType": "Admin", "value": served.admin_key},
        "ann": {"tokenType": "User", "value": token_of("ann")},
    }
    if caller in credentials:
        said.append({"type": "Authenticate", "baseVersion": 0, **credentials[caller]})
    add = {"type": "Add", "queryId": 0, "udfPath": "things:hidden_query", "args": [{}]}
    change = {"baseVersion": 0, "newVersion": 1, "modifications": [add]}
    said.append({"type": "ModifyQuerySet", **change})
    for request_id, kind in enumerate(("Mutation", "Action")):
        path = f"things:hidden_{kind.lower()}"
        said.append({"type": kind, "requestId": request_id, "udfPath": path, "args": [{}]})
    heard = conversation(served, said)
    [query] = [m for t in heard["Transition"] for m in t["modifications"]]
    [mutation], [action] = heard["MutationResponse"], heard["ActionResponse"]
    if caller == "administrator":
        assert (query["value"], mutation["result"], action["result"]) == ("hidden",) * 3
    else:
        for text in (query["errorMessage"], mutation["result"], action["result"]):
            assert "Could not find public function for 'things:hidden_" in text


@pytest.mark.parametrize("value", ["local|wrong", "", None])
def test_a_socket_with_a_wrong_key_is_told_so_and_closed(served: Served, value: Any) -> None:
    said = [
        {"type": "Connect", "sessionId": "6d0f2fe5-1f1d-4d9e-9b0a-2a6f7f0c9a11"},
        {"type": "Authenticate", "baseVersion": 0, "tokenType": "Admin", "value": value},
    ]
    url = served.url.replace("http", "ws") + "/api/sync"
    with connect(url, open_timeout=PATIENCE_S) as socket:
        for message in said:
            socket.send(json.dumps(message))
        heard = [json.loads(frame) for frame in socket]
    assert heard[-1]["type"] in ("AuthError", "FatalError")


def conversation(served: Served, said: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What the server answers, by type, once both requests and the query have been."""
    heard: dict[str, list[dict[str, Any]]] = {
        "Transition": [],
        "MutationResponse": [],
        "ActionResponse": [],
    }
    url = served.url.replace("http", "ws") + "/api/sync"
    with connect(url, open_timeout=PATIENCE_S) as socket:
        for message in said:
            socket.send(json.dumps(message))
        while not (
            heard["MutationResponse"]
            and heard["ActionResponse"]
            and any(t["modifications"] for t in heard["Transition"])
        ):
            message = json.loads(socket.recv(timeout=PATIENCE_S))
            heard.setdefault(message["type"], []).append(message)
    return heard
