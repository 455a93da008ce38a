"""The official npm CLI, as released, against a deployment of Python functions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from driving import HERE, PATIENCE_S
from serving import Served, in_thread

from pyconvex.server import Server, Settings

CLI = ("node", str(HERE / "node_modules" / "convex" / "bin" / "main.js"))
#: Without its telemetry, which waits for a network.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("CONVEX_")},
    "CI": "1",
}

#: Every command is a process that takes seconds to start on a busy machine.
pytestmark = pytest.mark.timeout(300)

LIB = """
import asyncio
from typing import Any
from pyconvex import *

class Note(Document, table="notes", indexes={"by_text": ["text"]}):
    text: str
    stars: int = 0

@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [note.text for note in await ctx.db.query(Note).collect()]

@mutation
async def add(ctx: MutationCtx, text: str) -> int:
    await ctx.db.insert(Note(text=text))
    return len(text)

@action
async def add_from_action(ctx: ActionCtx, text: str) -> int:
    return await ctx.run_mutation(add, text)

@mutation
async def shout(ctx: MutationCtx, text: str) -> None:
    ctx.log("warn", text + "!")
    if text == "no":
        raise ValueError("too loud")

@action
async def narrate(ctx: ActionCtx) -> None:
    print("once upon a time")
    await ctx.run_mutation(shout, "yes")
    while not await ctx.run_query(token):
        await asyncio.sleep(0.05)
    print("the end")

@internal_query
async def hidden(ctx: QueryCtx) -> str:
    return "seen"

@query
async def whoami(ctx: QueryCtx) -> Any:
    return await ctx.auth.get_user_identity()

@query
async def token(ctx: QueryCtx) -> str | None:
    return ctx.env.get("TOKEN")

@mutation
async def say(ctx: MutationCtx, what: str) -> None:
    print(what)

@query
async def where(ctx: QueryCtx) -> str:
    return ctx.env["CONVEX_CLOUD_URL"]
"""

HTTP = """
from pyconvex import HttpActionCtx, Request, Response, http_router

http = http_router()

@http.route(path_prefix="/hooks/", method="POST")
async def hook(ctx: HttpActionCtx, request: Request) -> Response:
    return Response("ok")
"""

CONFIG = """
from diary import diary
from pyconvex import define_app

app = define_app()
app.use(diary)
"""

DIARY = """
from pyconvex import *

class Page(Document, table="pages"):
    text: str

@mutation
async def write(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Page(text=text))

@query
async def count(ctx: QueryCtx) -> int:
    return len(await ctx.db.query(Page).collect())
"""


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A folder with an app that uses a component, and a package.json as the CLI wants it."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        files = {
            "convex/lib.py": LIB,
            "convex/http.py": HTTP,
            "convex/convex_config.py": CONFIG,
            "packages/diary/__init__.py": (
                "from pyconvex import define_component\n"
                "diary = define_component('diary', functions='diary.functions')\n"
            ),
            "packages/diary/functions/__init__.py": "",
            "packages/diary/functions/pages.py": DIARY,
            "package.json": json.dumps({"name": "p", "dependencies": {"convex": "1.48.0"}}),
        }
        for name, text in files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        Path(folder, "node_modules").symlink_to(HERE / "node_modules")
        patch.setenv("PYTHONPATH", str(Path(folder, "packages")), prepend=":")
        yield Path(folder)


@pytest.fixture(scope="module")
def deployed(project: Path) -> Iterator[Served]:
    @asynccontextmanager
    async def serve() -> Any:
        async with Server(Settings(data=project / "data", port=0, isolates=1)) as server:
            await server.deploy(project / "convex")
            yield Served(server.url, server.admin_key)

    with in_thread(serve) as served:
        yield served


def ask(served: Served, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    where = ("--url", served.url, "--admin-key", served.admin_key)
    return subprocess.run(
        [*CLI, *arguments, *where],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def cli(deployed: Served, project: Path) -> Any:
    """What a command prints; fails when the command does."""

    def cli(*arguments: str) -> str:
        done = ask(deployed, *arguments, cwd=project)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return cli


@pytest.fixture
def refused(deployed: Served, project: Path) -> Any:
    """What a command that can't be carried out says."""

    def refused(*arguments: str) -> str:
        done = ask(deployed, *arguments, cwd=project)
        assert done.returncode == 1, done.stdout
        return done.stderr

    return refused


# run


def test_run_calls_functions_of_every_kind(cli: Any) -> None:
    assert json.loads(cli("run", "lib:add", '{"text": "one"}')) == 3
    assert json.loads(cli("run", "lib:add_from_action", '{"text": "three"}')) == 5
    assert "three" in json.loads(cli("run", "api.lib.texts"))
    assert json.loads(cli("run", "lib:hidden")) == "seen"


def test_run_acts_as_a_user(cli: Any) -> None:
    seen = json.loads(cli("run", "lib:whoami", "--identity", '{"name":"Ann"}'))
    assert (seen["name"], seen["issuer"]) == ("Ann", "https://convex.test")


def test_run_in_a_component(cli: Any) -> None:
    before = json.loads(cli("run", "pages:count", "--component", "diary"))
    cli("run", "pages:write", '{"text": "dear"}', "--component", "diary")
    assert json.loads(cli("run", "pages:count", "--component", "diary")) == before + 1


def test_a_function_that_is_not_there_is_said_at_once_with_those_that_are(refused: Any) -> None:
    said = refused("run", "lib:nope")
    assert "Could not find function for 'lib:nope'" in said
    assert "Available functions:" in said
    assert "lib:add" in said
    assert "Could not find function for 'pages:nope'" in refused(
        "run", "pages:nope", "--component", "diary"
    )


def test_run_watch_prints_each_result(deployed: Served, project: Path, cli: Any) -> None:
    with watching(deployed, project, "run", "lib:token", "--watch") as lines:
        wait_until(lambda: "null" in lines)
        cli("env", "set", "TOKEN", "first")
        wait_until(lambda: '"first"' in lines)
        cli("env", "remove", "TOKEN")
        wait_until(lambda: lines.count("null") == 2)


def test_watching_a_function_that_is_not_there_ends(refused: Any) -> None:
    assert "Could not find function for 'lib:nope'" in refused("run", "lib:nope", "--watch")


# env


def test_variables(cli: Any) -> None:
    value = "a b=c\n🦔"
    cli("env", "set", "A_TEST", value)
    assert cli("env", "get", "A_TEST") == f"{value}\n"
    assert cli("env", "list", "--names-only").splitlines() == ["A_TEST"]
    cli("env", "remove", "A_TEST")
    assert cli("env", "list") == ""


def test_variables_that_are_none(refused: Any, deployed: Served, project: Path) -> None:
    gone = ask(deployed, "env", "get", "NOPE", cwd=project)
    assert '"NOPE" not found' in gone.stderr
    assert "is set by the host" in refused("env", "set", "CONVEX_CLOUD_URL", "x")


def test_variables_from_a_file(cli: Any, project: Path) -> None:
    (project / "some.env").write_text("C_TEST=1\nCONVEX_DEPLOYMENT=skipped\n")
    cli("env", "set", "--from-file", "some.env")
    assert cli("env", "list") == "C_TEST=1\n"
    cli("env", "remove", "C_TEST")


def test_variables_can_be_listed_before_the_first_deploy(project: Path) -> None:
    @asynccontextmanager
    async def serve() -> Any:
        with tempfile.TemporaryDirectory() as data:
            async with Server(Settings(data=Path(data), port=0, isolates=1)) as server:
                yield Served(server.url, server.admin_key)

    with in_thread(serve) as served:
        ask(served, "env", "set", "EARLY", "1", cwd=project)
        assert ask(served, "env", "list", cwd=project).stdout == "EARLY=1\n"
        assert ask(served, "data", cwd=project).returncode == 0
        assert json.loads(ask(served, "function-spec", cwd=project).stdout)["functions"] == []


# data


def test_tables_and_documents(cli: Any) -> None:
    for number in range(3):
        cli("run", "lib:add", json.dumps({"text": f"listed {number}"}))
    assert cli("data").splitlines() == ["notes"]
    newest = json.loads(cli("data", "notes", "--limit", "2", "--format", "json"))
    assert [note["text"] for note in newest] == ["listed 2", "listed 1"]
    oldest = json.loads(cli("data", "notes", "--order", "asc", "--format", "json"))
    assert [note["text"] for note in oldest][-3:] == ["listed 0", "listed 1", "listed 2"]
    assert set(oldest[0]) == {"_id", "_creationTime", "text"}
    assert cli("data", "nothing_there") == ""


def test_data_of_a_component(cli: Any, refused: Any) -> None:
    cli("run", "pages:write", '{"text": "mine"}', "--component", "diary")
    assert cli("data", "--component", "diary").splitlines() == ["pages"]
    assert "mine" in cli("data", "pages", "--component", "diary")
    said = refused("data", "--component", "nope")
    assert "There is no component at 'nope'. Components that are there: 'diary'." in said


# logs


def test_logs_come_as_functions_run(deployed: Served, project: Path, cli: Any) -> None:
    with watching(deployed, project, "logs", "--history", "0") as lines:
        for _ in range(100):
            cli("run", "lib:say", '{"what": "hedgehog"}')
            if lines:
                break
        wait_until(lambda: any("lib:say" in line and "hedgehog" in line for line in lines))
    assert not any("_system" in line for line in lines)


# function-spec, network-test, and what is not served


def test_function_spec(cli: Any, deployed: Served) -> None:
    spec = json.loads(cli("function-spec"))
    assert spec["url"] == deployed.url
    route = {"functionType": "HttpAction", "method": "POST", "path": "/hooks/*"}
    assert route in spec["functions"]
    by_name = {f["identifier"]: f for f in spec["functions"] if f != route}
    assert by_name["lib.js:add"] == {
        "identifier": "lib.js:add",
        "functionType": "Mutation",
        "visibility": {"kind": "public"},
        "args": {
            "type": "object",
            "value": {"text": {"fieldType": {"type": "string"}, "optional": False}},
        },
        "returns": {"type": "number"},
    }
    assert by_name["lib.js:hidden"]["visibility"] == {"kind": "internal"}


def test_a_function_knows_the_address(cli: Any, deployed: Served) -> None:
    assert json.loads(cli("run", "lib:where")) == deployed.url


def test_network_test(deployed: Served, project: Path) -> None:
    done = ask(deployed, "network-test", cwd=project)
    assert (done.returncode, "Network test passed" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (("deploy", "--yes"), "pyconvex deploy"),
        (("codegen",), "pyconvex codegen"),
        (("dev", "--once"), "pyconvex dev"),
        (("run", "--inline-query", "return 1"), "put it into the functions folder"),
        (("export", "--path", "export.zip"), "pyconvex backup"),
        (("import", "--table", "notes", "notes.jsonl", "--append"), "pyconvex restore"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_is_not_served_says_what_to_do_instead(
    refused: Any, project: Path, arguments: tuple[str, ...], instead: str
) -> None:
    (project / "notes.jsonl").write_text('{"text": "x"}\n')
    assert instead in refused(*arguments)


def test_a_wrong_key_is_refused_in_a_sentence(deployed: Served, project: Path) -> None:
    wrong = Served(deployed.url, "local|0123456789abcdef")
    done = ask(wrong, "run", "lib:texts", cwd=project)
    assert done.returncode == 1
    assert "The provided admin key was invalid for this deployment" in done.stderr
    assert "0123456789abcdef" not in done.stderr


@contextmanager
def watching(served: Served, cwd: Path, *arguments: str) -> Iterator[list[str]]:
    """The lines of a command that goes on until it is interrupted."""
    lines: list[str] = []
    process = subprocess.Popen(
        [*CLI, *arguments, "--url", served.url, "--admin-key", served.admin_key],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    pipe = process.stdout
    reading = threading.Thread(target=lambda: [lines.append(line.strip()) for line in pipe])
    reading.start()
    try:
        yield lines
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        reading.join()
        pipe.close()


def wait_until(happened: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# logs


def test_logs_are_followed_while_functions_run(deployed: Served, project: Path, cli: Any) -> None:
    with watching(deployed, project, "logs", "--success") as lines:

        def said(*parts: str) -> bool:
            return any(all(part in line for part in parts) for line in list(lines))

        def is_watching() -> bool:
            cli("run", "lib:hidden")
            return said("Q(lib:hidden)] Function executed in")

        wait_until(is_watching)
        ask(deployed, "run", "lib:shout", '{"text": "no"}', cwd=project)
        wait_until(lambda: said("[CONVEX M(lib:shout)] [WARN] 'no!'"))
        wait_until(lambda: said("[CONVEX M(lib:shout)] Uncaught ValueError: too loud"))

        with watching(deployed, project, "run", "lib:narrate"):
            wait_until(lambda: said("[CONVEX A(lib:narrate)] [LOG] 'once upon a time'"))
            wait_until(lambda: said("[CONVEX M(lib:shout)] [WARN] 'yes!'"))
            assert not said("A(lib:narrate)] Function executed"), "it is still running"
            cli("env", "set", "TOKEN", "on")
            wait_until(lambda: said("[CONVEX A(lib:narrate)] [LOG] 'the end'"))
            wait_until(lambda: said("[CONVEX A(lib:narrate)] Function executed in"))
        assert not said("Could not parse")
        cli("env", "remove", "TOKEN")


def said_by(entry: Any) -> list[str]:
    """The first line that an execution printed."""
    lines = entry.get("logLines") or [{"messages": []}]
    messages: list[str] = lines[0]["messages"]
    return messages


def test_what_ran_before_can_be_asked_for(deployed: Served, project: Path, cli: Any) -> None:
    cli("run", "lib:shout", '{"text": "what ran before"}')
    cli("run", "pages:count", "--component", "diary")
    with watching(deployed, project, "logs", "--history", "100", "--jsonl") as lines:

        def entries() -> list[Any]:
            return [json.loads(line) for line in list(lines) if line.startswith("{")]

        wait_until(lambda: any(e["identifier"] == "pages:count" for e in entries()))
        [count] = [e for e in entries() if e["identifier"] == "pages:count"][-1:]
        assert (count["kind"], count["udfType"]) == ("Completion", "Query")
        assert (count["componentPath"], count["cachedResult"]) == ("diary", False)
        [shout] = [e for e in entries() if said_by(e) == ["'what ran before!'"]]
        assert shout["identifier"] == "lib:shout"
        assert (shout["success"], shout["error"]) == ({"status": None}, None)
        assert (shout["identityType"], shout["caller"]) == ("instance_admin", "HttpApi")


def test_logs_need_the_admin_key(project: Path, deployed: Served) -> None:
    other = Served(deployed.url, "x|00")
    done = ask(other, "logs", cwd=project)
    assert done.returncode == 1
