"""Declarations of apps and components, and what binds their variables."""

from __future__ import annotations

from typing import Any

import pytest

from pyconvex import define_app, define_component, define_schema, define_table, v
from pyconvex.functions import ComponentDefinition, DefinitionError, EnvRef


def mail(env: dict[str, Any] | None = None) -> ComponentDefinition:
    return define_component("mail", functions="shop_mail.functions", env=env)


TOKEN = {"TOKEN": v.string(), "HOST": v.optional(v.string())}
CHOICE = v.union(v.literal("eu"), v.literal("us"))


def test_a_component_declares_queues_lanes_and_schema() -> None:
    schema = define_schema({"sent": define_table({})})
    component = define_component("mail", functions="shop_mail.functions", schema=schema)
    assert component.queue("outbox") == "outbox"
    component.lane("shop_mail.lanes:MailLane")
    assert (component.queues, component.lanes) == (["outbox"], ["shop_mail.lanes:MailLane"])
    assert component.schema is schema


@pytest.mark.parametrize("path", ["shop_mail.lanes", ":Lane", "shop_mail.lanes:"])
def test_a_lane_is_an_import_path(path: str) -> None:
    with pytest.raises(DefinitionError, match=r"must have the form 'package\.module:Class'"):
        mail().lane(path)


@pytest.mark.parametrize("name", ["", "1st", "my-mail", "a" * 65])
def test_names_are_identifiers(name: str) -> None:
    with pytest.raises(DefinitionError, match="is no valid component name"):
        define_component(name, functions="x")
    with pytest.raises(DefinitionError, match="is no valid queue name"):
        mail().queue(name)


def test_a_whole_environment_is_forwarded_by_name() -> None:
    app = define_app(env={**TOKEN, "OTHER": v.string()})
    app.use(mail(TOKEN), env=app.env)
    [mount] = app.mounts
    assert (mount.name, mount.env) == ("mail", {"TOKEN": EnvRef("TOKEN"), "HOST": EnvRef("HOST")})


def test_an_optional_variable_may_stay_unbound() -> None:
    app = define_app(env={"TOKEN": v.string()})
    app.use(mail(TOKEN), env=app.env)
    assert app.mounts[0].env == {"TOKEN": EnvRef("TOKEN")}


def test_variables_are_bound_one_by_one_or_to_text() -> None:
    app = define_app(env={"MAIL_TOKEN": v.string()})
    app.use(mail(TOKEN), name="post", env={"TOKEN": app.env.MAIL_TOKEN, "HOST": "localhost"})
    [mount] = app.mounts
    assert (mount.name, mount.env) == ("post", {"TOKEN": EnvRef("MAIL_TOKEN"), "HOST": "localhost"})


def test_a_component_binds_for_those_that_it_mounts() -> None:
    outer = define_component("outer", functions="x", env={"OUTER": v.string()})
    outer.use(mail(TOKEN), env={"TOKEN": outer.env.OUTER})
    assert outer.mounts[0].env == {"TOKEN": EnvRef("OUTER")}


def test_children_have_different_names() -> None:
    app = define_app()
    app.use(mail(), name="a")
    app.use(mail(), name="b")
    with pytest.raises(DefinitionError, match="multiple child components with the name 'b'"):
        app.use(mail(), name="b")


def test_an_app_is_not_a_component() -> None:
    with pytest.raises(DefinitionError, match="An app can't be mounted"):
        define_app().use(define_app())


def test_an_undeclared_variable_of_the_app() -> None:
    with pytest.raises(DefinitionError, match=r'Env var "TOKN" is not declared on this app\. Add'):
        _ = define_app(env=TOKEN).env.TOKN


@pytest.mark.parametrize(
    ("declared", "wanted", "bound", "text"),
    [
        ({}, TOKEN, {}, "'mail' is missing required env var TOKEN"),
        ({}, TOKEN, {"TOKEN": "t", "MORE": "x"}, "'mail' has no env var named MORE"),
        ({}, TOKEN, {"TOKEN": EnvRef("T")}, "references undeclared parent env var T."),
        (
            {"T": v.optional(v.string())},
            TOKEN,
            {"TOKEN": EnvRef("T")},
            "env var TOKEN is required, but parent env var T is optional",
        ),
        ({}, TOKEN, {"TOKEN": 5}, "must be a string or an env var reference"),
        ({}, {"R": CHOICE}, {"R": "mars"}, "invalid value for env var R: 'mars' does not match"),
        (
            {"T": v.string()},
            {"R": CHOICE},
            {"R": EnvRef("T")},
            "is not satisfied by that of parent env var T, v.string()",
        ),
        (
            {"T": v.union(v.literal("eu"), v.literal("mars"))},
            {"R": CHOICE},
            {"R": EnvRef("T")},
            "is not satisfied by",
        ),
    ],
)
def test_bindings_that_can_not_hold(
    declared: dict[str, Any], wanted: dict[str, Any], bound: dict[str, Any], text: str
) -> None:
    app = define_app(env=declared)
    with pytest.raises(DefinitionError) as caught:
        app.use(mail(wanted), env=bound)
    assert text in str(caught.value)
    assert app.mounts == []


def test_a_narrower_variable_satisfies_a_wider_one() -> None:
    app = define_app(env={"R": v.literal("eu"), "S": CHOICE})
    app.use(mail({"R": CHOICE, "S": v.string()}), env=app.env)
    app.use(mail({"R": v.optional(CHOICE)}), name="text", env={"R": "us"})
    assert len(app.mounts) == 2


@pytest.mark.parametrize(
    "validator", [v.number(), v.union(v.string(), v.null()), v.literal(1), v.any(), v.union()]
)
def test_variables_are_strings(validator: Any) -> None:
    for declare in (lambda env: define_app(env=env), mail):
        with pytest.raises(DefinitionError, match="'N' has a non-string validator"):
            declare({"N": validator})


def test_names_of_variables() -> None:
    with pytest.raises(DefinitionError, match="'A-B' is no valid name"):
        define_app(env={"A-B": v.string()})
    with pytest.raises(DefinitionError, match="'CONVEX_SITE_URL' is set by the host"):
        define_app(env={"CONVEX_SITE_URL": v.string()})


@pytest.mark.parametrize("prefix", ["mail", "", "/a*", "/a?b", 5])
def test_a_prefix_that_is_no_path(prefix: Any) -> None:
    with pytest.raises(DefinitionError, match="The http_prefix"):
        define_app().use(mail(), http_prefix=prefix)
    with pytest.raises(DefinitionError, match="The http_prefix"):
        define_app(http_prefix=prefix)


def test_prefixes_end_with_a_slash_and_differ() -> None:
    app = define_app(http_prefix="/api")
    assert app.http_prefix == "/api/"
    app.use(mail(), http_prefix="/mail")
    app.use(mail(), name="b", http_prefix="/")
    assert [mount.http_prefix for mount in app.mounts] == ["/mail/", "/"]
    with pytest.raises(DefinitionError, match="Two components are mounted with the http_prefix"):
        app.use(mail(), name="c", http_prefix="/mail/")


def test_what_is_no_component() -> None:
    with pytest.raises(DefinitionError, match="takes a component that define_component made"):
        define_app().use("mail")  # type: ignore[arg-type]  # the mistake
    component = mail()
    with pytest.raises(DefinitionError, match="'mail' can't be mounted in itself"):
        component.use(component)
