"""What posthog-js asks at its start."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from posthog_local.browser.brought import brought_scripts
from posthog_local.browser.config import config_script
from posthog_local.browser.routes import BrowserRoutes
from posthog_local.http.exchange import Request
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


def test_features_that_load_scripts_are_off_without_scripts() -> None:
    routes = BrowserRoutes(None, lambda: False)

    def ask(handler: Any, **values: str) -> Any:
        request = Request(method="GET", path="/", query={}, headers={}, path_values=values)
        return asyncio.run(handler(request))

    found = json.loads(ask(routes.config, token="phc_a").body)
    assert (found["token"], found["sessionRecording"]) == ("phc_a", False)
    assert ask(routes.script, name="array.js").status == 404


def test_flags_are_asked_for_once_there_are_some(local: PostHogLocal) -> None:
    assert config(local)["hasFeatureFlags"] is False
    local.set_flag("f")
    assert config(local)["hasFeatureFlags"] is True


def test_scripts_come_from_the_wheel_or_the_checkout(tmp_path: Path) -> None:
    places = (tmp_path / "wheel", tmp_path / "checkout")
    assert brought_scripts(places) is None
    for place in reversed(places):
        place.mkdir()
        (place / "array.js").write_text("")
        assert brought_scripts(places) == place


@pytest.mark.skipif(brought_scripts() is None, reason="npm ci in packages/posthog-local/browser")
def test_the_scripts_that_came_along_are_served_without_a_word(local: PostHogLocal) -> None:
    assert config(local)["sessionRecording"]["endpoint"] == "/s/"
    for name in ("array.js", "lazy-recorder.js", "web-vitals.js", "rrweb.js"):
        assert get(local, f"/static/{name}?v=1.449.2")[0] == 200


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
