"""The rules of variables, against what the app in force declares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyconvex.runtime.app.spec import EnvSpec
from pyconvex.runtime.calls import EnvChange, HostError
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.settings.environment import (
    DeploymentEnvironment,
    InvalidVariablesError,
    MissingVariablesError,
)

CONFIG = """
from pyconvex import define_app, v
app = define_app(env={
    "TOKEN": v.string(),
    "REGION": v.optional(v.union(v.literal("eu"), v.literal("us"))),
})
"""


@pytest.fixture
def environment(bench: Any) -> Any:
    system = SystemTransactions(bench.store, CommitQueue(bench.committer))
    changes: list[int] = []
    environment = DeploymentEnvironment(system, lambda: changes.append(1))
    environment.changes = changes  # type: ignore[attr-defined]
    yield environment
    system.close()


def apply(environment: Any, *changes: tuple[str, str | None]) -> dict[str, str]:
    async def main() -> dict[str, str]:
        await environment.apply([EnvChange(name, value) for name, value in changes])
        listed: dict[str, str] = await environment.list()
        return listed

    return asyncio.run(main())


def refused(
    environment: Any, *changes: tuple[str, str | None], code: str = "InvalidEnvironmentVariable"
) -> str:
    with pytest.raises(HostError) as caught:
        apply(environment, *changes)
    assert caught.value.status == 400
    assert caught.value.code == code
    return caught.value.message


def test_variables_are_set_changed_and_removed_together(environment: Any) -> None:
    assert apply(environment, ("A", "1"), ("_b2", "")) == {"A": "1", "_b2": ""}
    assert apply(environment, ("A", None), ("_b2", "ü"), ("NONE", None)) == {"_b2": "ü"}
    assert len(environment.changes) == 2


def test_one_bad_change_makes_none(environment: Any) -> None:
    for bad in (("2A", "x"), ("A-B", "x"), ("A" * 257, "x"), ("", "x")):
        assert "is not a valid environment variable name" in refused(environment, ("A", "1"), bad)
    assert "set by the host" in refused(environment, ("A", "1"), ("CONVEX_SITE_URL", "x"))
    assert "is over 8192 bytes" in refused(environment, ("A", "1"), ("B", "ü" * 4097))
    assert apply(environment, ("A" * 256, "ü" * 4096)) == {"A" * 256: "ü" * 4096}
    assert len(environment.changes) == 1


def test_there_are_at_most_so_many(environment: Any) -> None:
    full = [(f"V{n}", "x") for n in range(512)]
    assert len(apply(environment, *full)) == 512
    text = refused(environment, ("MORE", "x"), code="EnvVarLimitMet")
    assert text == "The environment variable limit (512) has been met."
    assert len(apply(environment, ("V0", None), ("MORE", "x"))) == 512


def test_all_together_have_a_limit(environment: Any) -> None:
    # 63 of 8 KiB and their names, and one that fills what is left of 512 KiB.
    large = [(f"V{n:02}", "ü" * 4096) for n in range(63)]
    rest = 512 * 1024 - 63 * (8192 + 3) - len("LAST")
    apply(environment, *large, ("LAST", "x" * rest))
    text = refused(environment, ("LAST", "x" * (rest + 1)), code="EnvVarTotalSizeLimitMet")
    assert text == (
        "The total size of all environment variables (524289 bytes) exceeds the limit "
        "(524288 bytes)."
    )
    assert len(apply(environment, ("V00", None))) == 63


def test_what_the_app_requires_stays_set_and_valid(
    bench: Any, environment: Any, analysed: Callable[..., Any]
) -> None:
    bench.deploy(analysed(convex_config=CONFIG), {"TOKEN": "t", "OTHER": "o"})
    assert refused(environment, ("OTHER", None), ("TOKEN", None)) == (
        "Cannot delete required environment variables: TOKEN. These are declared as required in "
        "the app definition."
    )
    assert refused(environment, ("REGION", "mars")) == (
        "Environment variable REGION does not match its declared validator: 'eu' or 'us'."
    )
    assert apply(environment, ("REGION", "eu"), ("OTHER", None)) == {"TOKEN": "t", "REGION": "eu"}
    assert apply(environment, ("REGION", None), ("TOKEN", "new")) == {"TOKEN": "new"}


def test_an_app_is_not_deployed_without_them(bench: Any, analysed: Callable[..., Any]) -> None:
    image = analysed(convex_config=CONFIG)
    with pytest.raises(
        MissingVariablesError, match=r"not set: TOKEN\. Set each with: pyconvex env"
    ):
        bench.deploy(image)
    with pytest.raises(InvalidVariablesError, match=r"declared validators: REGION\. Set each with"):
        bench.deploy(image, {"TOKEN": "t", "REGION": "mars"})
    bench.deploy(image, {"TOKEN": "t"})


def test_components_see_values_by_their_bindings(environment: Any) -> None:
    apply(environment, ("A", "1"), ("UNBOUND", "2"))
    string = {"type": "string"}
    assert environment.visible_to(
        [
            EnvSpec("FROM_APP", string, False, source="A"),
            EnvSpec("TEXT", string, False, literal="fixed"),
            EnvSpec("UNSET", string, True, source="NOT_SET"),
            EnvSpec("UNBOUND", string, True),
        ]
    ) == {"FROM_APP": "1", "TEXT": "fixed"}
