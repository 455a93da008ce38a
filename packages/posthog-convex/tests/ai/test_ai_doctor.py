"""What `pyconvex doctor` says about AI traces, by what is installed and set."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points

import pytest

from posthog_convex.ai import doctor
from posthog_convex.ai.instrumentors import Instrumentor
from pyconvex.cli.findings import GROUP, Inspected, Level

OPENAI = Instrumentor("openai", "opentelemetry-instrumentation-openai-v2 2.4b0", "openai")
PYDANTIC = Instrumentor("pydantic-ai", "its own instrumentation", "pydantic_ai")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    return Environment(monkeypatch)


class Environment:
    """What is installed beside the host."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def has(self, *found: Instrumentor, libraries: tuple[str, ...] = (), sdk: bool = True) -> None:
        """These and nothing else."""

        def find_spec(name: str) -> ModuleSpec | None:
            return ModuleSpec(name, None) if name in libraries else None

        self._monkeypatch.setattr(doctor, "installed", lambda: list(found))
        self._monkeypatch.setattr(doctor, "has_sdk", lambda: sdk)
        self._monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def findings(**variables: str) -> list[tuple[Level, str]]:
    def call(*_: object) -> None:
        raise AssertionError("nothing is called for this")

    inspected = Inspected({}, variables, call, dict)
    found = list(doctor.check(inspected))
    assert {finding.about for finding in found} <= {doctor.ABOUT}
    return [(finding.level, finding.text) for finding in found]


def test_an_app_without_models_hears_nothing(environment: Environment) -> None:
    environment.has()
    assert findings() == []
    environment.has(sdk=False)
    assert findings() == []


def test_models_without_the_sdk_are_a_warning_with_the_command(environment: Environment) -> None:
    for found, libraries in (((OPENAI,), ()), ((), ("openai",))):
        environment.has(*found, libraries=libraries, sdk=False)
        text = 'models are called untraced: pip install "posthog-convex[ai]"'
        assert findings() == [(Level.WARNING, text)]


def test_each_instrumentation_is_named_with_its_package(environment: Environment) -> None:
    environment.has(OPENAI, PYDANTIC, libraries=("openai",))
    assert findings() == [
        (
            Level.OK,
            "openai (opentelemetry-instrumentation-openai-v2 2.4b0), from the import of openai on",
        ),
        (Level.OK, "pydantic-ai (its own instrumentation), from the import of pydantic_ai on"),
    ]


def test_a_client_without_its_instrumentation_is_told_what_to_install(
    environment: Environment,
) -> None:
    environment.has(OPENAI, libraries=("openai", "anthropic"))
    level, text = findings()[-1]
    assert level is Level.INFO
    assert text == (
        "calls of anthropic's client are not traced: "
        "pip install opentelemetry-instrumentation-anthropic"
    )


def test_what_is_switched_off_is_said(environment: Environment) -> None:
    environment.has(OPENAI)
    assert findings(POSTHOG_DISABLE_AI_TRACING="1") == [
        (Level.INFO, "nothing is traced: POSTHOG_DISABLE_AI_TRACING is set")
    ]
    assert findings(POSTHOG_AI_PRIVACY_MODE="true")[-1] == (
        Level.INFO,
        "what was said is left out: POSTHOG_AI_PRIVACY_MODE is set",
    )
    assert len(findings(POSTHOG_AI_PRIVACY_MODE="no")) == 1


def test_what_is_installed_here_is_found_by_the_entry_point_that_doctor_loads() -> None:
    (point,) = [p for p in entry_points(group=GROUP) if p.name == "posthog_ai"]
    assert point.load() is doctor.check
    texts = [text for _, text in findings()]
    for name in ("openai", "anthropic", "pydantic-ai"):
        assert any(text.startswith(f"{name} (") for text in texts), texts
    assert not any("not traced" in text for text in texts)
