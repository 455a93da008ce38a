"""PostHog's part of `pyconvex doctor`: each setting with its origin, the project, the cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from posthog_convex.component import posthog_component
from posthog_convex.destination import Answer
from posthog_convex.project import doctor
from pyconvex.cli.findings import Finding, Inspected, Level

TOKEN = "phc_canary0123456789abcdef"
KEY = "phx_canary0123456789abcdef"
ALL = {name: name for name in posthog_component.declared_env}
STATUS = {"flags": 3.0, "poll": "fine", "error": None}


def inspected(
    variables: Mapping[str, str],
    bound: Mapping[str, str | None] = ALL,
    *,
    may_send: bool = False,
    status: Mapping[str, Any] = STATUS,
) -> Inspected:
    """A deployment with these variables; `bound` says which of them the component is given, and
    None that one stands in the code."""
    component = {
        "path": "posthog",
        "lanes": ["posthog_convex.component.lanes:EventLane"],
        "variables": [
            {
                "name": name,
                "optional": True,
                "source": bound.get(name),
                "inCode": name in bound and bound[name] is None,
            }
            for name in posthog_component.declared_env
        ],
    }
    return Inspected(
        {"components": [component], "lanes": []},
        variables,
        lambda path, arguments, component: status,
        lambda: {"lanes": []},
        may_send,
    )


def told(of: Inspected) -> list[tuple[Level, str]]:
    return [(finding.level, finding.text) for finding in doctor.check(of)]


def one(of: Inspected, name: str) -> tuple[Level, str]:
    """What is said of a setting."""
    ((level, text),) = [each for each in told(of) if each[1].startswith(f"{name}: ")]
    return level, text.removeprefix(f"{name}: ")


def test_every_setting_is_told() -> None:
    begun = {text.partition(":")[0] for _, text in told(inspected({}))}
    assert begun >= set(posthog_component.declared_env)


@pytest.mark.parametrize(
    ("variables", "name", "expected"),
    [
        ({}, "POSTHOG_HOST", "https://us.i.posthog.com (default)"),
        (
            {"POSTHOG_HOST": "eu.posthog.com/project/7"},
            "POSTHOG_HOST",
            "https://eu.i.posthog.com (the deployment's variable)",
        ),
        (
            {"POSTHOG_HOST": "https://me:secret@h"},
            "POSTHOG_HOST",
            "https://h (the deployment's variable)",
        ),
        ({}, "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS", "60 (default)"),
        (
            {"POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": "300"},
            "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS",
            "300 (the deployment's variable)",
        ),
        ({}, "POSTHOG_PROJECT_TOKEN", "none: events wait (default)"),
        (
            {"POSTHOG_DISABLE_AI_TRACING": "On"},
            "POSTHOG_DISABLE_AI_TRACING",
            "yes (the deployment's variable)",
        ),
        (
            {"POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE": "unlimited"},
            "POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE",
            "unlimited (the deployment's variable)",
        ),
    ],
)
def test_value_and_origin(variables: dict[str, str], name: str, expected: str) -> None:
    assert one(inspected(variables), name) == (Level.INFO, expected)


def test_a_variable_under_another_name_and_one_in_the_code() -> None:
    bound = {"POSTHOG_HOST": "PH_HOST", "POSTHOG_PROJECT_TOKEN": None}
    of = inspected({"PH_HOST": "https://h"}, bound)
    assert one(of, "POSTHOG_HOST") == (Level.INFO, "https://h (the deployment's PH_HOST)")
    assert one(of, "POSTHOG_PROJECT_TOKEN")[1] == "as it stands in the code, in app.use"


def test_a_variable_that_the_app_does_not_hand_on_is_a_warning() -> None:
    bound = {"POSTHOG_PROJECT_TOKEN": "POSTHOG_PROJECT_TOKEN"}
    name = "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS"
    level, text = one(inspected({name: "300"}, bound), name)
    assert level is Level.WARNING
    assert text.startswith("60 (default). The deployment's variable does nothing")
    assert "declared_env" in text
    # Privacy is heeded where functions run.
    private = inspected({"POSTHOG_AI_PRIVACY_MODE": "1"}, bound)
    assert one(private, "POSTHOG_AI_PRIVACY_MODE") == (
        Level.INFO,
        "yes (the deployment's variable)",
    )


def test_what_another_project_of_the_app_uses_is_no_warning() -> None:
    of = inspected({"POSTHOG_HOST": "https://h"}, {"POSTHOG_PROJECT_TOKEN": "OTHER_TOKEN"})
    mounted = {**of.status["components"][0], "path": "second", "lanes": []}
    mounted["variables"] = [{"name": "POSTHOG_HOST", "optional": True, "source": "POSTHOG_HOST"}]
    components = [*of.status["components"], mounted]
    both = replace(of, status={**of.status, "components": components})
    assert one(both, "POSTHOG_HOST") == (Level.INFO, "https://us.i.posthog.com (default)")
    assert one(of, "POSTHOG_HOST")[0] is Level.WARNING


def test_secrets_are_told_apart_without_being_shown() -> None:
    variables = {
        "POSTHOG_PROJECT_TOKEN": TOKEN,
        "POSTHOG_PERSONAL_API_KEY": KEY,
        "POSTHOG_WEBHOOK_SECRET": "canary-of-the-webhook",
    }
    text = " ".join(text for _, text in told(inspected(variables)))
    assert "phx_ca… (26 characters)" in text
    assert "canary0123456789" not in text
    assert "canary-of-the-webhook" not in text


def test_what_looking_for_flags_costs_in_a_month() -> None:
    keys = {"POSTHOG_PROJECT_TOKEN": TOKEN, "POSTHOG_PERSONAL_API_KEY": KEY}
    (found,) = [each for each in told(inspected(keys)) if "flag requests" in each[1]]
    assert found == (
        Level.OK,
        "3 flags, fine; looks for newer ones every 60 s: 43,200 times a month, which PostHog bills "
        "as 432,000 flag requests at most",
    )
    slow = {**keys, "POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": "3600"}
    assert any("7,200 flag requests" in text for _, text in told(inspected(slow)))


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (Answer(200), Level.OK, "https://h has a project with this token"),
        (Answer(401), Level.PROBLEM, "check POSTHOG_PROJECT_TOKEN and POSTHOG_HOST"),
        (Answer(404), Level.WARNING, "the token could not be checked"),
        ("ConnectError: refused", Level.WARNING, "https://h could not be reached"),
    ],
)
def test_the_project_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, answer: Answer | str, level: Level, text: str
) -> None:
    async def ask(url: str, body: bytes, /) -> Answer | str:
        return answer

    monkeypatch.setattr(doctor, "_ask", ask)
    arrived = Finding(Level.OK, "posthog", "a test event arrived")
    monkeypatch.setattr(doctor, "_event", lambda inspected, path: arrived)
    variables = {"POSTHOG_PROJECT_TOKEN": TOKEN, "POSTHOG_HOST": "https://h"}
    found = told(inspected(variables, may_send=True))
    assert any(said is level and text in what for said, what in found), found
    assert TOKEN not in str(found)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "POSTHOG_PROJECT_TOKEN is not set"),
        ({"POSTHOG_PROJECT_TOKEN": f'"{TOKEN}"'}, "There are quotes around the project token"),
        ({"POSTHOG_PROJECT_TOKEN": "pha_1"}, "POSTHOG_PROJECT_TOKEN holds a secret key"),
        ({"POSTHOG_PROJECT_TOKEN": KEY}, "POSTHOG_PROJECT_TOKEN holds a secret key"),
        ({"POSTHOG_PROJECT_TOKEN": TOKEN, "POSTHOG_HOST": "htp://h"}, "POSTHOG_HOST is no address"),
        ({"POSTHOG_PERSONAL_API_KEY": TOKEN}, "opens no flag definitions"),
    ],
)
def test_slips_are_problems(variables: dict[str, str], problem: str) -> None:
    found = [text for level, text in told(inspected(variables)) if level is Level.PROBLEM]
    assert any(problem in text for text in found), found
