"""Which route answers, compared with the rule said another way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runtime.app.spec import AppSpec, ComponentSpec, HttpSpec, RouteSpec
from pyconvex.runtime.http_actions.routes import FoundRoute, HttpRoutes


def component(path: str, http: HttpSpec | None) -> ComponentSpec:
    return ComponentSpec(path, "1", [], [], [], [], [], http=http)


def route(text: str) -> RouteSpec:
    method, _, path = text.partition(" ")
    return RouteSpec(method, path.removesuffix("*"), path.endswith("*"), text)


def http(*routes: str, prefix: str | None = None) -> HttpSpec:
    return HttpSpec([route(text) for text in routes], prefix)


def routes(**components: HttpSpec | None) -> HttpRoutes:
    paths = {"app": "", **{name: name.replace("__", "/") for name in components if name != "app"}}
    return HttpRoutes(AppSpec([component(paths[n], h) for n, h in components.items()]))


def find(table: HttpRoutes, method: str, path: str) -> str | None:
    found = table.find(method, path)
    return None if found is None else f"{found.component}:{found.name}"


def test_exact_paths_win_then_the_longest_prefix() -> None:
    table = routes(app=http("GET /a/b", "GET /a/*", "GET /a/b/*", "GET /*", "POST /a/b/"))
    assert find(table, "GET", "/a/b") == ":GET /a/b"
    assert find(table, "GET", "/a/b/") == ":GET /a/b/*"
    assert find(table, "GET", "/a/b/c") == ":GET /a/b/*"
    assert find(table, "GET", "/a/") == ":GET /a/*"
    assert find(table, "GET", "/a") == ":GET /*"
    assert find(table, "POST", "/a/b/") == ":POST /a/b/"
    assert find(table, "POST", "/a/b") is None
    assert find(table, "HEAD", "/a/b") == ":GET /a/b"
    assert find(table, "GET", "/A/b") == ":GET /*"


def test_a_component_is_below_its_prefix() -> None:
    table = routes(
        app=http("GET /pay/own", "GET /p/*"),
        pay=http("GET /own", "POST /hook", "GET /deep/*", prefix="/pay/"),
        pay__inner=http("GET /x", prefix="/in/"),
        hidden=http("GET /y"),
    )
    assert find(table, "GET", "/pay/own") == ":GET /pay/own"
    assert find(table, "POST", "/pay/hook") == "pay:POST /hook"
    assert find(table, "GET", "/pay/in/x") == "pay/inner:GET /x"
    assert find(table, "GET", "/pay/in/z") is None
    assert find(table, "GET", "/pay/deep/er") == "pay:GET /deep/*"
    assert find(table, "GET", "/pay") is None
    assert find(table, "GET", "/hook") is None
    assert find(table, "GET", "/y") is None


def test_of_prefixes_and_mounts_the_longest_counts() -> None:
    table = routes(app=http("GET /a/*", "GET /a/b/c/*"), mail=http("GET /*", prefix="/a/b/"))
    assert find(table, "GET", "/a/x") == ":GET /a/*"
    assert find(table, "GET", "/a/b/x") == "mail:GET /*"
    assert find(table, "GET", "/a/b/c/x") == ":GET /a/b/c/*"
    assert find(table, "POST", "/a/b/x") is None


def test_the_apps_own_prefix_moves_its_routes_alone() -> None:
    table = routes(
        app=http("GET /x", "GET /f/*", prefix="/api/"), mail=http("GET /x", prefix="/mail/")
    )
    assert find(table, "GET", "/api/x") == ":GET /x"
    assert find(table, "GET", "/api/f/1") == ":GET /f/*"
    assert find(table, "GET", "/x") is None
    assert find(table, "GET", "/mail/x") == "mail:GET /x"


def test_whether_there_is_anything() -> None:
    assert not routes(app=None)
    assert routes(app=http())
    assert routes(app=http(), mail=http("GET /x", prefix="/m/"))
    assert not HttpRoutes(AppSpec([component("", None), component("mail", http("GET /x"))]))


PARTS = st.lists(st.sampled_from(["", "a", "b", "ab"]), min_size=1, max_size=4)
PATHS = PARTS.map(lambda parts: "/" + "/".join(parts))


@given(st.sets(PATHS), st.sets(PATHS.map(lambda p: p.rstrip("/") + "/")), PATHS)
def test_the_rule_for_one_router(exact: set[str], prefixes: set[str], path: str) -> None:
    table = routes(app=http(*(f"GET {p}" for p in exact), *(f"GET {p}*" for p in prefixes)))
    fitting = [p for p in prefixes if path.startswith(p)]
    expected = None
    if path in exact:
        expected = FoundRoute("", f"GET {path}")
    elif fitting:
        expected = FoundRoute("", f"GET {max(fitting, key=len)}*")
    assert table.find("GET", path) == expected
