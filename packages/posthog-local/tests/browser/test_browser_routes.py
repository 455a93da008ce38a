"""What posthog-js asks at its start."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from posthog_local.browser.config import config_script
from posthog_local.testing import PostHogLocal, running


def get(local: PostHogLocal, path: str) -> tuple[int, str]:
    try:
        with urlopen(local.url + path) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, ""


def config(local: PostHogLocal) -> Any:
    return json.loads(get(local, "/array/phc_a/config")[1])


def test_features_that_load_scripts_are_off_without_scripts(local: PostHogLocal) -> None:
    found = config(local)
    assert (found["token"], found["sessionRecording"], found["hasFeatureFlags"]) == (
        "phc_a",
        False,
        False,
    )
    local.set_flag("f")
    assert config(local)["hasFeatureFlags"] is True
    assert get(local, "/static/array.js")[0] == 404


def test_the_script_sets_what_the_browser_reads(local: PostHogLocal) -> None:
    status, script = get(local, "/array/phc_a/config.js")
    assert status == 200
    entry = re.search(r"\|\|\{\},(.*)\)\}\)", script)
    assert entry is not None
    assert json.loads(entry[1]) == {"phc_a": {"config": config(local), "siteApps": []}}


def test_a_token_cannot_leave_the_script() -> None:
    token = "</script><script>alert(1)"
    assert b"<" not in config_script(token, {"token": token})


def test_nothing_is_there_to_ask(local: PostHogLocal) -> None:
    for path, name in (("surveys", "surveys"), ("web_experiments", "experiments")):
        assert json.loads(get(local, f"/api/{path}/?token=phc_a")[1]) == {name: []}


@pytest.fixture(scope="module")
def with_scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostHogLocal]:
    folder: Path = tmp_path_factory.mktemp("posthog-js")
    (folder / "array.js").write_text("/* array */")
    (folder / "secret.txt").write_text("secret")
    with running(arguments=["--posthog-js", str(folder)]) as local:
        yield local


def test_scripts_are_served_and_nothing_else(with_scripts: PostHogLocal) -> None:
    assert get(with_scripts, "/static/array.js?v=1.2") == (200, "/* array */")
    assert get(with_scripts, "/static/1.449.2/array.js") == (200, "/* array */")
    for name in ("secret.txt", "..%2Fsecret.txt", "gone.js", "%2e%2e/x.js"):
        assert get(with_scripts, f"/static/{name}")[0] == 404
    assert config(with_scripts)["sessionRecording"]["endpoint"] == "/s/"
