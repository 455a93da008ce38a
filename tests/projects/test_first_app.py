"""The guide `docs/first-app.md`, followed: its files, its page in a browser, its clients."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_process import Running
from click.testing import CliRunner
from playwright.sync_api import sync_playwright

from pyconvex.cli import env_local, main
from pyconvex.cli.scaffold import files_of

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "first-app.md"
REACT, TYPESCRIPT = ROOT / "tests" / "react", ROOT / "tests" / "typescript"
PATIENCE_S = 60.0

FILE = re.compile(r"^```\w+\n(?:<!-- |// |# )(\S+\.\w+)(?: -->)?\n(.*?)^```", re.M | re.S)


def guide_files() -> dict[str, str]:
    """The files that the guide shows, by the name in their first line."""
    return dict(FILE.findall(GUIDE.read_text()))


@pytest.fixture(scope="module", autouse=True)
def _npm_packages() -> None:
    """What the lock files pin, unless it is there; `./run test` has done it already."""
    for folder in (REACT, TYPESCRIPT):
        if not (folder / "node_modules").is_dir():
            npm = ["npm", "ci", "--prefix", str(folder), "--no-audit", "--no-fund"]
            subprocess.run([*npm, "--ignore-scripts"], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: Callable[..., Running]
) -> Path:
    """The guide's folder, with its files, while `pyconvex dev` runs."""
    monkeypatch.chdir(tmp_path)
    for name in (env_local.URL_VARIABLE, env_local.KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    command("init")
    dev = running(tmp_path, "dev", "--port", "0", "--isolates", "1", "--json")
    assert dev.wait_for("deployed") == 2
    for name, text in guide_files().items():
        if not name.startswith("convex/"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    return tmp_path


def command(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def send(body: str) -> None:
    command("run", "messages:send", json.dumps({"author": "Ada", "body": body}))


def test_the_guide_shows_what_init_writes() -> None:
    written = files_of(None)["convex/messages.py"].split("\n", 2)[2]  # behind its docstring
    assert guide_files()["convex/messages.py"].strip() == written.strip()


@pytest.mark.browser
def test_the_page_compiles_and_updates_by_itself(project: Path, chromium: str) -> None:
    (project / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    # In place of Vite's own types, which say the same.
    (project / "src" / "vite.d.ts").write_text(
        "interface ImportMeta { readonly env: Record<string, any> }\n"
    )
    settings = (project / "tsconfig.json").read_text().replace('"vite/client"', "")
    (project / "tsconfig.json").write_text(settings)
    compiler = TYPESCRIPT / "node_modules" / "typescript" / "bin" / "tsc"
    compiled = subprocess.run(["node", str(compiler)], capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stdout

    (project / "node_modules").unlink()
    (project / "node_modules").symlink_to(REACT / "node_modules")
    url = env_local.read(project)[env_local.BROWSER_URL_VARIABLE]
    subprocess.run(
        [
            str(REACT / "node_modules" / ".bin" / "esbuild"),
            "src/main.tsx",
            "--bundle",
            "--outdir=src",
            f'--define:import.meta.env.VITE_CONVEX_URL="{url}"',
            "--log-level=error",
        ],
        check=True,
    )
    page_text = (project / "index.html").read_text().replace("/src/main.tsx", "/src/main.js")
    (project / "index.html").write_text(page_text)
    send("before")
    with served(project) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(site)
        page.get_by_text("Ada: before").wait_for()
        send("while the page is open")
        page.get_by_text("Ada: while the page is open").wait_for()
        page.locator("input").fill("from the page")
        page.get_by_role("button").click()
        page.get_by_text("me: from the page").wait_for()
        browser.close()
    assert "from the page" in command("run", "messages:latest")


def test_plain_javascript_follows(project: Path) -> None:
    (project / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    environment = {**os.environ, **env_local.read(project)}
    follows(["node", "follow.mjs"], environment, "hello from Node")


def test_python_follows(project: Path) -> None:
    url = env_local.read(project)[env_local.URL_VARIABLE]
    follows([sys.executable, "follow.py", url], dict(os.environ), "hello from Python")


def follows(client: list[str], environment: dict[str, str], said: str) -> None:
    """A client sends its message and then hears of ours."""
    process = subprocess.Popen(client, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    try:
        until(process.stdout, "1 messages")
        assert said in command("run", "messages:latest")
        send("one more")
        until(process.stdout, "2 messages")
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def until(lines: Iterator[str] | Any, wanted: str) -> None:
    seen = []
    for line in lines:
        seen.append(line.strip())
        if seen[-1] == wanted:
            return
    raise AssertionError(f"ended before {wanted!r}: {seen}")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass
