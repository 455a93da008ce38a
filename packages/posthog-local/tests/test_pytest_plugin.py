"""The pytest plugin as another project meets it: by its entry point, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_TESTS = """
import json
from urllib.request import urlopen

import pytest


def send(local, event, **properties):
    body = {"api_key": "phc_a", "event": event, "distinct_id": "ada", "properties": properties}
    urlopen(local.url + "/e/", json.dumps(body).encode()).close()


def value(local, key):
    body = json.dumps({"api_key": "phc_a", "distinct_id": "ada"}).encode()
    with urlopen(local.url + "/flags/?v=2", body) as response:
        flag = json.load(response)["flags"][key]
    return flag["variant"] or flag["enabled"]


def test_an_event_arrives(posthog_local):
    send(posthog_local, "signed_up", plan="free")
    send(posthog_local, "signed_up", plan="pro", tags=["a"])
    found = posthog_local.wait_for_event(
        "signed_up", distinct_id="ada", properties={"plan": "pro", "tags": ["a"]}
    )
    assert found["properties"]["plan"] == "pro"


def test_the_next_test_finds_it_empty(posthog_local):
    assert posthog_local.events() == []
    assert posthog_local.flags() == []


def test_what_is_missing_is_named(posthog_local):
    send(posthog_local, "signed_up", plan="free")
    with pytest.raises(AssertionError, match="'signed_up' with {'plan': 'pro'} of 'ada'"):
        posthog_local.wait_for_event(
            "signed_up", distinct_id="ada", properties={"plan": "pro"}, timeout=0.1
        )


@pytest.mark.posthog_flags(beta=True, gone=False, colour="red")
class TestFlags:
    def test_of_the_class(self, posthog_local):
        assert [value(posthog_local, key) for key in ("beta", "colour")] == [True, "red"]
        assert value(posthog_local, "gone") is False

    @pytest.mark.posthog_flags(colour="blue")
    def test_the_closest_mark_wins(self, posthog_local):
        assert [value(posthog_local, key) for key in ("beta", "colour")] == [True, "blue"]
"""


def test_its_fixtures_in_another_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(_TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_it_imports_nothing_but_pytest_until_it_is_asked() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import posthog_local.pytest_plugin;"
        " print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['posthog_local', 'posthog_local.pytest_plugin']"
