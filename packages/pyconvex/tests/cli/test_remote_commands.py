"""Commands that ask a running deployment or deploy to it: `run --watch`, `data`, `deploy`."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cli_process import DEADLINE_S, Running
from click.testing import CliRunner, Result

from pyconvex.cli import env_local, main
from pyconvex.cli.deployment import Deployment
from pyconvex.cli.watching import watch

Command = Callable[..., Result]
Start = Callable[..., Running]

APP = """
from typing import Any
from pyconvex import *

class Note(Document, table="notes"):
    text: str
    size: Int64 | None = None

@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [note.text for note in await ctx.db.query(Note).collect()]

@query
async def token(ctx: QueryCtx) -> str | None:
    if ctx.env.get("TOKEN") == "bad":
        raise ConvexError("a bad token")
    return ctx.env.get("TOKEN")

@mutation
async def add(ctx: MutationCtx, texts: list[str]) -> None:
    for text in texts:
        await ctx.db.insert(Note(text=text, size=Int64(len(text))))

@mutation
async def said(ctx: MutationCtx, what: str) -> None:
    print(what)

@mutation
async def broken(ctx: MutationCtx) -> None:
    raise ValueError("it broke")

@query
async def who(ctx: QueryCtx) -> Any:
    return await ctx.auth.get_user_identity()
"""
DIARY = """
from pyconvex import *

class Page(Document, table="pages"):
    text: str

@mutation
async def write(ctx: MutationCtx, text: str) -> int:
    await ctx.db.insert(Page(text=text))
    return len(text)
"""


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def make_project(folder: Path) -> None:
    files = {
        "convex/lib.py": APP,
        "convex/convex_config.py": (
            "from pyconvex import define_app\nfrom diary import diary\n"
            "app = define_app()\napp.use(diary)\n"
        ),
        "packages/diary/__init__.py": (
            "from pyconvex import define_component\n"
            "diary = define_component('diary', functions='diary.functions')\n"
        ),
        "packages/diary/functions/__init__.py": "",
        "packages/diary/functions/pages.py": DIARY,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "packages"), prepend=":")
        running = Running(folder, "dev", "--port", "0", "--no-watch", "--isolates", "1", "--json")
        try:
            running.wait_for("deployed")
            yield running
            assert running.stop() == 0
        finally:
            running.stop()


@pytest.fixture
def command(deployment: Running, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(deployment.folder)
    for name in (env_local.URL_VARIABLE, env_local.KEY_VARIABLE):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == status, result.output
        assert deployment.admin_key not in result.output
        return result

    return command


# delete-table


def test_delete_table_asks_for_the_name_and_leaves_what_the_app_declares(
    command: Command,
) -> None:
    refused = command("delete-table", "notes", "--yes", status=1)
    assert "The app declares the table 'notes'. Nothing was deleted" in refused.output
    assert "Type the table's name" in command("delete-table", "notes", status=1).output
    missing = command("delete-table", "nothing", "--yes", status=1)
    assert "There is no table 'nothing'" in missing.output
    assert "notes" in command("data").output.split()


# dashboard


def test_dashboard_prints_a_link_that_signs_in_once(command: Command) -> None:
    printed = command("dashboard")
    url = printed.stdout.strip()
    assert "works once, within 10 minutes" in printed.stderr
    assert httpx2.get(url, timeout=DEADLINE_S).status_code == 200
    site, link = url.split("/dashboard/sign_in/")
    form = {"data": {"link": link}, "headers": {"origin": site}, "timeout": DEADLINE_S}
    answers = [httpx2.post(f"{site}/dashboard/sign_in", **form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 410]


# run


@pytest.mark.parametrize(
    "spelling", ["lib:who", "lib.who", "api.lib.who", "convex/lib.py:who", "convex/lib:who"]
)
def test_run_takes_every_spelling_and_a_short_identity(command: Command, spelling: str) -> None:
    told = command("run", spelling, "--identity", '{"subject": "ann", "name": "Ann"}').stdout
    seen = json.loads(told)
    assert (seen["subject"], seen["issuer"], seen["name"]) == ("ann", "https://convex.test", "Ann")


def test_run_in_a_component(command: Command) -> None:
    done = command("run", "pages:write", '{"text": "dear"}', "--component", "diary")
    assert json.loads(done.stdout) == 4
    missing = command("run", "pages:nope", "--component", "diary", status=1)
    assert "Could not find function for 'pages:nope'" in missing.stderr


def test_an_identity_that_is_none(command: Command) -> None:
    assert "no JSON object" in command("run", "lib:who", "--identity", "ann", status=2).stderr


def test_watch_gives_each_result_once(command: Command, deployment: Running) -> None:
    here = Deployment.find()
    results = watch(here, "lib:token", {}, "")
    assert next(results).value is None
    command("env", "set", "TOKEN", "first")
    assert next(results).value == "first"
    command("env", "set", "TOKEN", "bad")
    assert "a bad token" in (next(results).error or "")
    command("env", "remove", "TOKEN")
    assert next(results).value is None
    results.close()


def test_watching_what_is_not_there_fails_at_once(command: Command) -> None:
    failed = command("run", "lib:nope", "--watch", status=1)
    assert "Could not find function for 'lib:nope'" in failed.stderr


def test_watch_is_ended_by_the_keyboard(deployment: Running, command: Command) -> None:
    watching = Running(deployment.folder, "run", "lib:texts", "--watch")
    try:
        while not watching.out:
            assert watching.process.poll() is None, watching.err
        assert watching.stop(signal.SIGINT) == 0
        assert watching.err == [""]
    finally:
        watching.stop(signal.SIGKILL)


# data


def test_tables_and_documents(command: Command) -> None:
    command("run", "lib:add", json.dumps({"texts": [str(n) for n in range(300)]}))
    assert command("data").stdout == "notes\n"
    newest = [json.loads(line) for line in command("data", "notes").stdout.splitlines()]
    assert [note["text"] for note in newest] == [str(n) for n in range(299, 199, -1)]
    oldest = command("data", "notes", "--order", "asc", "--limit", "270", "--format", "json")
    assert [note["text"] for note in json.loads(oldest.stdout)] == [str(n) for n in range(270)]
    table = command("data", "notes", "--limit", "2", "--format", "pretty").stdout.splitlines()
    assert table[0].split() == ["_id", "_creationTime", "size", "text"]
    assert len(table) == 4
    missing = command("data", "nope", status=1).stderr
    assert "There is no table 'nope'. Tables that are there: notes." in missing
    assert command("data", "notes", "--limit", "0", status=2).stdout == ""


def test_data_of_a_component(command: Command) -> None:
    command("run", "pages:write", '{"text": "dear"}', "--component", "diary")
    assert command("data", "--component", "diary").stdout == "pages\n"
    assert '"text":"dear"' in command("data", "pages", "--component", "diary").stdout
    unknown = command("data", "--component", "nope", status=1).stderr
    assert "There is no component at 'nope'. Components that are there: 'diary'." in unknown


# function-spec


def test_function_spec(command: Command, tmp_path: Path) -> None:
    spec = json.loads(command("function-spec").stdout)
    assert [f["identifier"] for f in spec["functions"]] == [
        "lib.js:add",
        "lib.js:broken",
        "lib.js:said",
        "lib.js:texts",
        "lib.js:token",
        "lib.js:who",
    ]
    file = tmp_path / "spec.json"
    assert command("function-spec", "--file", str(file)).stdout == f"Wrote {file}.\n"
    assert json.loads(file.read_text()) == spec
    of_component = json.loads(command("function-spec", "--component", "diary").stdout)
    assert [f["identifier"] for f in of_component["functions"]] == ["pages.js:write"]


# logs


def test_logs_of_the_past_and_as_they_come(command: Command, deployment: Running) -> None:
    command("run", "lib:said", '{"what": "first"}')
    command("run", "lib:broken", status=1)
    command("data")
    until(lambda: "it broke" in command("logs").stdout)
    lines = command("logs").stdout.splitlines()
    assert any(line.endswith("[M(lib:said)] [LOG] 'first'") for line in lines), lines
    assert any("[M(lib:broken)] " in line and "it broke" in line for line in lines), lines
    assert not any("_system" in line for line in lines), lines
    entries = [json.loads(line) for line in command("logs", "--json").stdout.splitlines()]
    assert {"lib:said", "lib:broken"} <= {entry["identifier"] for entry in entries}
    assert not any(entry["identifier"].startswith("_system") for entry in entries)
    assert len(command("logs", "--json", "--history", "1").stdout.splitlines()) == 1
    assert command("logs", "--history", "0").stdout == ""
    assert "succeeded in" in command("logs", "--success").stdout
    following = Running(deployment.folder, "logs", "--follow", "--history", "0")
    try:
        until(lambda: following.process.poll() is None)
        for number in range(100):
            command("run", "lib:said", json.dumps({"what": f"again {number}"}))
            if following.out:
                break
        until(lambda: "'again" in "".join(following.out))
        assert following.stop(signal.SIGINT) == 0
    finally:
        following.stop(signal.SIGKILL)


# Where to


def test_a_key_goes_to_its_own_address_only(command: Command, deployment: Running) -> None:
    url = env_local.read(deployment.folder)[env_local.URL_VARIABLE]
    assert command("data", "--url", url + "/").exit_code == 0
    elsewhere = command("data", "--url", "http://127.0.0.1:9", status=1).stderr
    assert "The admin key of http://127.0.0.1:9 is not known" in elsewhere
    wrong = command("data", "--url", url, "--admin-key", "local|0123456789abcdef", status=1)
    assert "does not take the admin key from the command line. Another" in wrong.stderr
    assert "0123456789abcdef" not in wrong.output
    for address in ("nonsense", "ftp://127.0.0.1"):
        refused = command("run", "lib:who", "--url", address, "--admin-key", "k|1", status=2)
        assert "is no address of a deployment" in refused.stderr
        watched = ("run", "lib:who", "--watch", "--url", address, "--admin-key", "k|1")
        assert "is no address of a deployment" in command(*watched, status=2).stderr


def test_watching_where_nobody_answers(command: Command) -> None:
    done = command(
        "run", "a:b", "--watch", "--url", "http://127.0.0.1:9", "--admin-key", "k|1", status=1
    )
    assert "The deployment at http://127.0.0.1:9 does not answer" in done.stderr


# deploy


LIB = """
from pyconvex import *

@query
async def version(ctx: QueryCtx) -> int:
    return 1
"""


def test_deploy_to_a_new_server(
    tmp_path: Path, running: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, laptop = tmp_path / "server", tmp_path / "laptop"
    server.mkdir()
    (laptop / "convex").mkdir(parents=True)
    (laptop / "convex" / "lib.py").write_text(LIB)
    started = running(server, "start", "--port", "0", "--isolates", "1", "--json")
    key_file = server / started.wait_for("key_file")
    url = started.wait_for("url")
    key = key_file.read_text().strip()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    monkeypatch.chdir(laptop)
    monkeypatch.setenv(env_local.URL_VARIABLE, url)
    monkeypatch.setenv(env_local.KEY_VARIABLE, key)

    def command(*arguments: str, status: int = 0) -> Result:
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == status, done.output
        assert key not in done.output
        return done

    def version() -> Any:
        body = {"path": "lib:version", "args": {}}
        return httpx2.post(f"{url}/api/query", json=body, timeout=60).json()["value"]

    done = command("deploy")
    assert f"Deployed 1 function to {url} in" in done.stdout
    assert "\033" not in done.output
    assert version() == 1
    # What can't be deployed leaves all as it is.
    lib = laptop / "convex" / "lib.py"
    lib.write_text(LIB.replace("1", "2") + "import nothing_of_this_name\n")
    failed = command("deploy", status=1).stderr
    assert "Not deployed: convex/lib.py:" in failed
    assert "nothing_of_this_name" in failed
    assert version() == 1
    lib.write_text(LIB.replace("1", "2"))
    config = laptop / "convex" / "convex_config.py"
    config.write_text("from pyconvex import *\napp = define_app(env={'TOKEN': v.string()})\n")
    assert "pyconvex env set TOKEN <value>" in command("deploy", status=1).stderr
    command("env", "set", "TOKEN", "t")
    command("deploy")
    assert version() == 2
    assert started.stop() == 0
    again = running(server, "start", "--port", "0", "--isolates", "1", "--json")
    url = again.wait_for("url")
    assert version() == 2
    assert again.stop() == 0
    assert key not in "\n".join([*started.out, *started.err, *again.out, *again.err])


def test_only_an_administrator_deploys_and_only_modules(
    command: Command, deployment: Running
) -> None:
    url = env_local.read(deployment.folder)[env_local.URL_VARIABLE]
    body = {"sources": {"a.py": ""}}
    refused = httpx2.post(f"{url}/api/pyconvex/deploy", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "BadDeployKey")
    assert httpx2.get(f"{url}/api/pyconvex/status").status_code == 403
    headers = {"Authorization": f"Convex {deployment.admin_key}"}
    for path in ("../a.py", "/etc/a.py", "a//b.py", "a.txt", "__init__.py", "a.b.py"):
        answer = httpx2.post(
            f"{url}/api/pyconvex/deploy", json={"sources": {path: ""}}, headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "DeployFailed"), path
    for content in (b"", b"[]", b'{"sources": {"a.py": 1}}'):
        answer = httpx2.post(f"{url}/api/pyconvex/deploy", content=content, headers=headers)
        assert answer.json()["code"] == "BadJsonBody"
    status = httpx2.get(f"{url}/api/pyconvex/status", headers=headers).json()
    assert status["functions"] == 6
    assert deployment.admin_key not in json.dumps(status)


def test_a_folder_that_can_not_be_deployed(command: Command, tmp_path: Path) -> None:
    nowhere = command("deploy", "--functions", str(tmp_path / "nope"), status=1).stderr
    assert "`pyconvex init` makes one" in nowhere
    assert "no Python files yet" in command("deploy", "--functions", str(tmp_path), status=1).stderr
