"""Definitions for PyPI `posthog`, out of a Convex deployment."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from posthog import Posthog

from posthog_convex import FlagDefinitionsFromConvex
from posthog_convex.beside import ConvexUnavailable

FLAG = {
    "id": 1,
    "key": "beta",
    "active": True,
    "filters": {
        "groups": [
            {"properties": [{"key": "id", "type": "cohort", "value": 7, "operator": "in"}]},
        ]
    },
}
#: As npm `@posthog/convex` stores them.
DATA = {
    "propertyMatchingVersion": 2,
    "flags": [FLAG],
    "groupTypeMapping": {"0": "company"},
    "cohorts": {
        "7": {
            "type": "OR",
            "values": [
                {
                    "type": "AND",
                    "values": [{"key": "plan", "value": "pro", "type": "person"}],
                }
            ],
        }
    },
}


class Convex:
    """A deployment's answers."""

    def __init__(self) -> None:
        self.answer: Any = self.stored(DATA)
        self.asked: list[tuple[str, Any, dict[str, str]]] = []

    @staticmethod
    def stored(data: Any, etag: str | None = 'W/"1"') -> dict[str, Any]:
        value = {"localEvalConfigured": True, "fetchedAt": 1.0, "data": json.dumps(data)}
        return {"status": "success", "value": value | ({"etag": etag} if etag else {})}

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> bytes:
        self.asked.append((url, json.loads(body), headers))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()


@pytest.fixture
def convex() -> Convex:
    return Convex()


@pytest.fixture
def provider(convex: Convex) -> FlagDefinitionsFromConvex:
    return FlagDefinitionsFromConvex("https://x.convex.cloud/", "key ", post=convex.post)


def test_the_component_is_asked_with_the_admin_key(
    convex: Convex, provider: FlagDefinitionsFromConvex
) -> None:
    assert provider.should_fetch_flag_definitions() is False
    assert provider.get_flag_definitions() == {
        "flags": [FLAG],
        "group_type_mapping": {"0": "company"},
        "cohorts": DATA["cohorts"],
        "property_matching_version": 2,
    }
    ((url, body, headers),) = convex.asked
    assert url == "https://x.convex.cloud/api/function"
    assert headers["Authorization"] == "Convex key"
    assert body == {
        "path": "lib:getFlagDefinitions",
        "args": {},
        "format": "json",
        "componentPath": "posthog",
    }


def test_before_the_first_refresh_the_sdk_asks_posthog_itself(
    convex: Convex, provider: FlagDefinitionsFromConvex
) -> None:
    convex.answer = {"status": "success", "value": {"localEvalConfigured": True, "data": None}}
    assert provider.get_flag_definitions() is None


TROUBLES = [
    (URLError("refused"), "could not be reached"),
    (TimeoutError("timed out"), "could not be reached"),
    (HTTPError("u", 401, "no", {}, None), "check the admin key"),  # type: ignore[arg-type]
    (HTTPError("u", 404, "no", {}, None), "check url"),  # type: ignore[arg-type]
    (b"<html>", "check url"),
    ({"status": "error", "errorMessage": "no such component"}, "no such component"),
    (Convex.stored({"flags": "?"}), "can't be read"),
    (Convex.stored({"flags": []}, etag=None), "replaced its definitions by nothing"),
]


@pytest.mark.parametrize(("answer", "reason"), TROUBLES)
def test_trouble_keeps_the_last_good_definitions_and_is_said_once(
    convex: Convex,
    provider: FlagDefinitionsFromConvex,
    caplog: pytest.LogCaptureFixture,
    answer: Any,
    reason: str,
) -> None:
    good = provider.get_flag_definitions()
    convex.answer = answer
    for _ in range(3):
        assert provider.get_flag_definitions() == good
    assert provider.status is not None
    assert reason in provider.status
    assert [reason in record.message for record in caplog.records] == [True]
    convex.answer = Convex.stored(DATA)
    with caplog.at_level(logging.INFO):
        assert provider.get_flag_definitions() == good
    assert provider.status is None
    assert "fresh again" in caplog.records[-1].message
    assert "key" not in " ".join(r.message for r in caplog.records).replace("admin key", "")


@pytest.mark.parametrize(("answer", "reason"), TROUBLES[:-1])
def test_trouble_from_the_start_is_an_error(
    convex: Convex, provider: FlagDefinitionsFromConvex, answer: Any, reason: str
) -> None:
    convex.answer = answer
    with pytest.raises(ConvexUnavailable, match=reason):
        provider.get_flag_definitions()


def test_flags_that_were_all_deleted_are_gone(
    convex: Convex, provider: FlagDefinitionsFromConvex
) -> None:
    provider.get_flag_definitions()
    convex.answer = Convex.stored({"flags": [], "groupTypeMapping": {}, "cohorts": {}}, 'W/"2"')
    found = provider.get_flag_definitions()
    assert found is not None
    assert found["flags"] == []


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="https://"):
        FlagDefinitionsFromConvex("x.convex.cloud", "key")


def values(client: Posthog) -> list[Any]:
    client.load_feature_flags()
    return [
        client.evaluate_flags(
            "ada", person_properties={"plan": plan}, only_evaluate_locally=True
        ).get_flag("beta")
        for plan in ("pro", "free")
    ]


def sdk(provider: FlagDefinitionsFromConvex) -> Posthog:
    return Posthog(
        "phc_x",
        host="http://127.0.0.1:1",
        secret_key="phx_unused",
        flag_definition_cache_provider=provider,
        send=False,
    )


def test_the_official_sdk_evaluates_with_them(provider: FlagDefinitionsFromConvex) -> None:
    client = sdk(provider)
    try:
        assert values(client) == [True, False]
    finally:
        client.shutdown()


def test_a_deployment_with_this_component_serves_them_too(deployed: Any) -> None:
    answer = {
        "flags": [FLAG],
        "group_type_mapping": {"0": "company"},
        "cohorts": DATA["cohorts"],
        "property_matching_version": 2,
    }

    async def scenario(app: Any) -> None:
        provider = FlagDefinitionsFromConvex(app.url, app.admin_key)
        assert await asyncio.to_thread(provider.get_flag_definitions) is None
        await app.store(answer)
        assert await asyncio.to_thread(provider.get_flag_definitions) == answer
        client = sdk(provider)
        try:
            assert await asyncio.to_thread(values, client) == [True, False]
        finally:
            await asyncio.to_thread(client.shutdown)

    deployed(scenario)
