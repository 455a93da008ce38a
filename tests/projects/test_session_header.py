"""The session of a browser, told to functions by the header that the official posthog-js adds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_process import Running
from click.testing import CliRunner
from playwright.sync_api import sync_playwright

from posthog_local.testing import PostHogLocal
from pyconvex.cli import env_local, main

PATIENCE_S = 60.0
#: What would call out of this machine is off.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
STUB = """
    ([token, options]) => {
        window.posthog = [];
        posthog._i = [[token, options, "posthog"]];
        posthog.__SV = 1;
    }
"""
CALL = """
    async ([url, body]) => {
        const headers = { "content-type": "application/json" };
        const answer = await fetch(url + "/api/mutation", { method: "POST", body, headers });
        return [await answer.text(), posthog.get_session_id()];
    }
"""


def command(*arguments: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.browser
@pytest.mark.timeout(240)
def test_tracing_headers_of_posthog_js_name_the_session(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    running: Callable[..., Running],
    posthog_local: PostHogLocal,
    chromium: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (env_local.URL_VARIABLE, env_local.KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    command("init", "--with-posthog")
    config = tmp_path / "convex" / "convex_config.py"
    header = 'define_app(\n    session_header="x-posthog-session-id",'
    config.write_text(config.read_text().replace("define_app(", header))
    dev = running(tmp_path, "dev", "--port", "0", "--isolates", "1", "--no-watch", "--json")
    dev.wait_for("problem")
    local = {"HOST": posthog_local.url, "PROJECT_TOKEN": posthog_local.project_token}
    command("env", "set", *(f"POSTHOG_{name}={value}" for name, value in local.items()))
    dev.wait_for("deployed")

    options = {"api_host": posthog_local.url, "tracing_headers": ["127.0.0.1"]}
    send = {"path": "messages:send", "args": {"author": "ada", "body": "hello"}}
    url = env_local.read(tmp_path)[env_local.URL_VARIABLE]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        # A page without scripts of its own, on another origin than the functions.
        page.goto(f"{posthog_local.url}/static/array.js")
        page.evaluate(STUB, [posthog_local.project_token, options])
        page.add_script_tag(url=f"{posthog_local.url}/static/array.js")
        page.wait_for_function("posthog.__loaded", timeout=PATIENCE_S * 1000)
        answer, session = page.evaluate(CALL, [url, json.dumps(send)])
        browser.close()
    assert json.loads(answer)["status"] == "success", answer
    event = posthog_local.wait_for_event("message_sent", distinct_id="ada", timeout=PATIENCE_S)
    assert session
    assert event["properties"]["$session_id"] == session
