"""What one walk over an app finds: functions, tables, components, variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyconvex.functions import DefinitionError
from pyconvex.identity import User
from pyconvex.runtime.app.image import AppImage
from pyconvex.values import codec

Analysed = Callable[..., AppImage]

CONFIG = """
from pyconvex import define_app, v
from sample_component import mail

app = define_app(env={"MAIL_TOKEN": v.string(), "SECRET": v.optional(v.string())})
app.use(mail, env={"TOKEN": app.env.MAIL_TOKEN})
app.use(mail, name="second", env={"TOKEN": "fixed token", "HOST": "localhost"})
"""

APP = """
from typing import Any
from pyconvex import *
from sample_component.functions.lib import sent as foreign

@mutation
async def send_twice(ctx: MutationCtx) -> list[int]:
    await ctx.run_mutation(components.mail.lib.send, {"to": "a"})
    await ctx.run_mutation(components.second.lib.send, {"to": "b"})
    await ctx.run_mutation(components.second.lib.send, {"to": "c"})
    return [len(await ctx.run_query(components.mail.lib.sent)),
            len(await ctx.run_query(components.second.lib.sent))]

@query
async def variables(ctx: QueryCtx, which: str) -> Any:
    return await ctx.run_query(getattr(components, which).lib.variables)

@query
async def who(ctx: QueryCtx) -> Any:
    return await ctx.run_query(components.mail.lib.who)

@query
async def own_hidden(ctx: QueryCtx) -> int:
    return await ctx.run_query(components.mail.lib.own_hidden)

@query
async def hidden(ctx: QueryCtx) -> int:
    return await ctx.run_query(components.mail.lib.hidden)

@query
async def unmounted(ctx: QueryCtx) -> None:
    await ctx.run_query(components.nope.lib.sent)

@query
async def grandchild(ctx: QueryCtx) -> None:
    await ctx.run_query(components.inner.words.word)

@query
async def by_object(ctx: QueryCtx) -> None:
    await ctx.run_query(foreign)
"""


def test_functions_are_found_where_they_are_defined(analysed: Analysed) -> None:
    image = analysed(
        lib="""
            from pyconvex import *
            @query(name="get")
            async def find(ctx: QueryCtx): ...
            alias = find
        """,
        other="""
            from pyconvex import *
            from .lib import find
            @internal_action
            async def go(ctx: ActionCtx, n: int) -> str: ...
        """,
        deep__er="""
            from pyconvex import *
            @mutation
            async def put(ctx: MutationCtx): ...
        """,
        empty="",
    )
    found = {f.path: (f.kind, f.public) for f in image.spec.root.functions}
    assert found == {
        "lib:get": ("Query", True),
        "other:go": ("Action", False),
        "deep/er:put": ("Mutation", True),
    }
    [spec] = [f for f in image.spec.root.functions if f.path == "other:go"]
    assert spec.args == {
        "type": "object",
        "value": {"n": {"fieldType": {"type": "number"}, "optional": False}},
    }
    assert spec.returns == {"type": "string"}
    assert str(image.components[""].functions["deep/er:put"].reference) == "deep/er:put"


def test_an_export_has_one_definition(analysed: Analysed) -> None:
    twice = """
        from pyconvex import *
        @query
        async def a(ctx: QueryCtx): ...
        @query(name="a")
        async def b(ctx: QueryCtx): ...
    """
    with pytest.raises(DefinitionError, match=r"lib.py exports 'a' twice"):
        analysed(lib=twice)


def test_tables_come_from_classes_and_from_the_schema_module(analysed: Analysed) -> None:
    image = analysed(
        schema="""
            from pyconvex import *
            schema = define_schema({"logs": define_table({"a": v.string()}).index("by_a", ["a"])})
        """,
        users="""
            from pyconvex import *
            class User(Document, table="users", indexes={"by_x": ["x", "y"]}):
                x: str
                y: int
        """,
        again="from .users import User",
    )
    assert [(t.name, t.indexes) for t in image.spec.root.tables] == [
        ("logs", {"by_a": ["a"]}),
        ("users", {"by_x": ["x", "y"]}),
    ]


def test_the_config_must_define_app(analysed: Analysed) -> None:
    with pytest.raises(DefinitionError, match=r"convex_config\.py must define `app`"):
        analysed(convex_config="from pyconvex import *\nthe_app = define_app()")
    assert analysed(lib="").spec.root.env == []


def test_components_are_found_at_every_mount(analysed: Analysed) -> None:
    image = analysed(convex_config=CONFIG)
    assert [c.path for c in image.spec.components] == [
        "",
        "mail",
        "mail/inner",
        "mail/fixed",
        "second",
        "second/inner",
        "second/fixed",
    ]
    mail = image.spec.components[1]
    assert [f.path for f in mail.functions] == [
        "lib:acting",
        "lib:calls_back",
        "lib:echo",
        "lib:hidden",
        "lib:own_hidden",
        "lib:recipient",
        "lib:send",
        "lib:send_and_fail",
        "lib:sent",
        "lib:variables",
        "lib:who",
    ]
    assert (mail.queues, mail.lanes) == (["outbox"], ["sample_component.lanes:MailLane"])
    assert [t.name for t in mail.tables] == ["mails"]


def test_bindings_are_followed_to_the_app_or_to_text(analysed: Analysed) -> None:
    image = analysed(convex_config=CONFIG)
    env = {c.path: {e.name: (e.source, e.literal) for e in c.env} for c in image.spec.components}
    assert env == {
        "": {"MAIL_TOKEN": ("MAIL_TOKEN", None), "SECRET": ("SECRET", None)},
        "mail": {"TOKEN": ("MAIL_TOKEN", None), "HOST": (None, None)},
        "mail/inner": {"WORD": ("MAIL_TOKEN", None)},
        "mail/fixed": {"WORD": (None, "fixed")},
        "second": {"TOKEN": (None, "fixed token"), "HOST": (None, "localhost")},
        "second/inner": {"WORD": (None, "fixed token")},
        "second/fixed": {"WORD": (None, "fixed")},
    }


def test_a_version_names_code_and_bindings(analysed: Analysed) -> None:
    def versions(config: str = CONFIG, **modules: str) -> dict[str, str]:
        image = analysed(convex_config=config, **modules)
        assert all(image.components[c.path].version == c.version for c in image.spec.components)
        return {c.path: c.version for c in image.spec.components}

    first = versions()
    assert versions() == first
    changed = versions(lib="")
    assert {path for path in first if first[path] != changed[path]} == {""}
    rebound = versions(CONFIG.replace("fixed token", "other"))
    assert {p for p in first if first[p] != rebound[p]} == {"", "second", "second/inner"}


@pytest.mark.parametrize(
    ("functions", "error", "text"),
    [
        ("sample_component.nope", ModuleNotFoundError, "No module named 'sample_component.nope'"),
        ("sample_component.functions.lib", DefinitionError, "give the package that holds"),
    ],
)
def test_a_component_without_its_package(
    analysed: Analysed, functions: str, error: type[Exception], text: str
) -> None:
    config = f"""
        from pyconvex import *
        app = define_app()
        app.use(define_component("x", functions={functions!r}))
    """
    with pytest.raises(error, match=text):
        analysed(convex_config=config)


# The same, run


ADA = User(
    token_identifier="i|ada", issuer="i", subject="ada", attributes=codec.encode({"name": "Ada"})
)


@pytest.fixture
def app(bench: Any, analysed: Analysed) -> Any:
    bench.deploy(analysed(convex_config=CONFIG, app=APP), {"MAIL_TOKEN": "t", "SECRET": "s"})
    return bench


def test_each_mount_has_tables_and_queues_of_its_own(app: Any) -> None:
    ended = app.mutate("app:send_twice")
    assert ended.value == [1, 2]
    assert len({append.queue for append in ended.proposal.appends}) == 2
    assert [codec.decode(append.body) for append in ended.proposal.appends] == [
        {"to": "a"},
        {"to": "b"},
        {"to": "c"},
    ]


def test_a_component_sees_what_is_bound_and_nothing_else(app: Any) -> None:
    assert app.run("app:variables", {"which": "mail"}).value == {
        "seen": {"TOKEN": "t"},
        "unbound": None,
        "of_the_app": None,
        "inner": "t",
        "fixed": "fixed",
    }
    second = app.run("app:variables", {"which": "second"}).value
    assert second["seen"] == {"TOKEN": "fixed token", "HOST": "localhost"}
    assert second["inner"] == "fixed token"


def test_a_bound_variable_is_read_where_it_lives(app: Any) -> None:
    bound = app.run("app:variables", {"which": "mail"})
    text = app.run("app:variables", {"which": "second"})
    before = app.store.visible_ts
    app.change(lambda tx: tx.namespace("").set_env("MAIL_TOKEN", "new"))
    log = app.committer.log
    assert log.first_overlap(bound.reads, before) is not None
    assert log.first_overlap(text.reads, before) is None


def test_a_component_sees_nobody(app: Any) -> None:
    ended = app.run("app:who", who=ADA)
    assert ended.value == [None, None]
    assert not ended.finished.observed_identity, "so its result can be shared"


def test_what_of_a_component_can_be_called(app: Any) -> None:
    assert app.run("app:own_hidden").value == 1
    for path, text in (
        ("hidden", "Child component 'mail' does not export 'lib:hidden'."),
        ("unmounted", "There is no component mounted as 'nope'"),
        ("grandchild", "There is no component mounted as 'inner'"),
        ("by_object", "belongs to another component: call it by a reference"),
    ):
        assert text in app.run(f"app:{path}").error


def test_clients_can_not_name_a_components_functions(app: Any) -> None:
    missing = "Could not find public function for 'lib:sent'."
    assert app.run("lib:sent", component="mail").error == missing
    assert app.run("lib:sent", component="mail", public_only=False).value == []
    nowhere = app.run("lib:sent", component="nope", public_only=False).error
    assert "There is no component at 'nope'." in nowhere


def test_a_component_that_a_deploy_removed_does_not_run(app: Any, analysed: Analysed) -> None:
    old = app.image
    app.deploy(analysed(app="x = 1"))
    app.image = old
    assert app.run("lib:sent", component="mail", public_only=False).finished.stale


# HTTP routes


HTTP = """
from pyconvex import *
http = http_router()

@http.route(path="/a", method="GET")
@http.route(path_prefix="/b/", method="POST")
async def answer(ctx: HttpActionCtx, request: Request) -> Response: ...
"""


def test_routes_are_found(analysed: Analysed) -> None:
    image = analysed(
        http=HTTP,
        convex_config="""
            from pyconvex import *
            app = define_app(http_prefix="/api")
        """,
    )
    found = image.spec.root.http
    assert found is not None
    assert found.prefix == "/api/"
    # Decorators apply from the one that is nearest to the function.
    assert [(r.method, r.path, r.prefix, r.name) for r in found.routes] == [
        ("POST", "/b/", True, "POST /b/*"),
        ("GET", "/a", False, "GET /a"),
    ]
    assert set(image.components[""].http) == {"POST /b/*", "GET /a"}
    assert analysed(lib="").spec.root.http is None


def test_http_must_be_a_router(analysed: Analysed) -> None:
    for text in ("", "from pyconvex import *\nhttp = http_router", "import http"):
        with pytest.raises(DefinitionError, match=r"http\.py must define `http`: write http = "):
            analysed(http=text)


SITE_CONFIG = """
from pyconvex import *
from sample_component import inner, mail, web
app = define_app()
app.use(web, http_prefix="/web/", name="outer")
app.use(web, name="hidden")
"""


def test_a_component_knows_where_its_routes_are(analysed: Analysed) -> None:
    image = analysed(convex_config=SITE_CONFIG)
    assert {path: (c.site_prefix, sorted(c.http)) for path, c in image.components.items()} == {
        "": ("", []),
        "outer": ("/web", ["GET /where"]),
        "outer/within": ("/web/deep/er", ["GET /where"]),
        "hidden": ("", ["GET /where"]),
        "hidden/within": ("", ["GET /where"]),
    }
    versions = {c.path: c.version for c in image.spec.components}
    assert versions["outer"] != versions["hidden"], "what its functions read of it differs"
    root = image.spec.root.http
    assert root is not None
    assert root.routes == []


def test_a_prefix_needs_routes(analysed: Analysed) -> None:
    with pytest.raises(
        DefinitionError, match="'mail' is mounted with the http_prefix '/mail/' and"
    ):
        analysed(
            convex_config="""
                from pyconvex import *
                from sample_component import mail
                app = define_app()
                app.use(mail, env={"TOKEN": "t"}, http_prefix="/mail")
            """
        )


def test_a_component_within_itself(analysed: Analysed) -> None:
    with pytest.raises(DefinitionError, match="mounted within itself: 'a' → 'b' → 'a'"):
        analysed(
            convex_config="""
                from pyconvex import *
                a = define_component("a", functions="sample_component.inner_functions")
                b = define_component("b", functions="sample_component.inner_functions")
                a.use(b)
                b.use(a)
                app = define_app()
                app.use(a)
            """
        )
