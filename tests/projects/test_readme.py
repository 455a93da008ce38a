"""The README, followed by a stranger: an empty folder, the built wheels, what it says to type."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reader_terminal import Terminal

from posthog_convex.project.scaffold import files
from posthog_convex.testing import ENV, posthog_test
from pyconvex.testing import convex_test

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "README.md").read_text()

SHELL = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
PYTHON = re.compile(r"^```python\n# (convex/\S+)\n(.*?)^```", re.M | re.S)
#: What `pip install pytest` brings, beside what our packages need.
PYTEST = {"pytest", "iniconfig", "packaging", "pluggy", "pygments"}

Open = Callable[[], Terminal]


def section(title: str) -> str:
    """What stands below a heading, up to the next one."""
    _, _, rest = PAGE.partition(f"\n## {title}\n")
    assert rest, f"the README has no section {title!r}"
    return rest.partition("\n## ")[0]


def typed(title: str) -> list[list[str]]:
    """The lines of a section's shell blocks, without what is said of them."""
    blocks = SHELL.findall(section(title))
    return [[re.sub(r"\s{2,}#.*", "", line) for line in b.splitlines()] for b in blocks]


# A stranger's path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `./run build` builds, in the same way."""
    dist = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    packages = sorted(str(folder) for folder in (ROOT / "packages").iterdir())
    done = subprocess.run([*build, "-w", str(dist), *packages], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return dist


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of a package index: what our packages need in the pinned versions, and pytest."""
    folder = tmp_path_factory.mktemp("index")
    pins = (ROOT / "requirements" / "runtime.txt").read_text()
    for name in {*re.findall(r"^([\w.-]+)==", pins, re.M), *PYTEST}:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        for part in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (folder / part).exists():
                (folder / part).symlink_to(Path(str(distribution.locate_file(part))))
    return folder


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Open]:
    """Opens shells in the stranger's folder, that know nothing of this checkout."""
    programs, folder = tmp_path / "programs", tmp_path / "folder"
    programs.mkdir()
    folder.mkdir()
    (programs / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]  # no public name for it
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    opened: list[Terminal] = []

    def start() -> Terminal:
        opened.append(Terminal(folder, environment))
        return opened[-1]

    yield start
    for terminal in reversed(opened):
        terminal.close()


@pytest.mark.timeout(600)
def test_a_strangers_path(wheels: Path, index: Path, tmp_path: Path, open_terminal: Open) -> None:
    (venv, install, init, local_starts), (activate, dev), third = typed("Add it to your own app")
    folder = tmp_path / "folder"

    local = open_terminal()
    local.type(venv)
    (packages,) = folder.glob(".venv/lib/python3*/site-packages")
    (packages / "index.pth").write_text(f"{index}\n")
    local.type(install.replace("/path/to/the/clone/dist", str(wheels)))
    where = local.type('python -c "import posthog_local; print(posthog_local.__file__)"')
    assert where.startswith(str(folder)), where
    assert "Next: pyconvex dev" in local.type(init)
    printed = local.leave_running(f"{local_starts} --port 0", "Stop with Ctrl-C")
    (paste,) = re.findall(r"^ +(pyconvex env set .*)$", printed, re.M)
    (url,) = re.findall(r"POSTHOG_HOST=(\S+)", paste)

    host = open_terminal()
    host.type(activate)
    missing = host.leave_running(f"{dev} --port 0", "deployed as soon as")
    assert "not set: POSTHOG_PROJECT_TOKEN" in missing

    activate, env_set, run, events, tests = third
    hands = open_terminal()
    hands.type(activate)
    assert env_set == "pyconvex env set …"
    assert "POSTHOG_PROJECT_TOKEN" in hands.type(paste)
    host.shows("Deployed 2 functions")
    hands.type(run)
    arrived = hands.type(f"until {events} --url {url} | grep message_sent; do :; done")
    assert re.search(r"message_sent +ada\b", arrived), arrived
    # pip finds pytest in the stand-in for the index, and then makes no command of it.
    assert "1 passed" in hands.type(tests.replace("&& pytest", "&& python -m pytest"))

    ((cloud, doctor),) = typed("Point it at PostHog Cloud")
    values = dict(word.split("=") for word in paste.split() if "=" in word)
    for name in re.findall(r"(\w+)=", cloud):
        cloud = re.sub(rf"{name}=\S+", f"{name}={values[name]}", cloud)
    hands.type(cloud)
    assert "a test event arrived" in hands.type(doctor)

    # What holds a secret or data stays out of git by itself.
    seen = hands.type("git init -q . && git status --short | cut -c 4-").splitlines()
    assert set(seen) == {".gitignore", "README.md", "convex/", "mypy.ini", "tests/"}


# What else stands there


def test_every_shell_block_is_typed_somewhere() -> None:
    sections = ("The two commands", "Add it to your own app", "Point it at PostHog Cloud")
    assert sum(len(typed(title)) for title in sections) == len(SHELL.findall(PAGE))


def test_the_commands_are_commands_of_run() -> None:
    known = subprocess.run(
        ["./run", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = re.findall(r"`?(\./run [a-z]+)", PAGE)
    assert {"./run demo", "./run test", "./run build"} <= set(named)
    assert [each for each in named if f"  {each}" not in known] == []


def test_the_app_is_set_up_as_init_does_it() -> None:
    shown = dict(PYTHON.findall(PAGE))["convex/convex_config.py"]
    written = files()["convex/convex_config.py"].split("\n", 2)[2]  # behind its docstring
    assert shown.strip() == written.strip()


def test_the_example_does_what_is_said_of_it() -> None:
    app = {name.removeprefix("convex/"): text for name, text in PYTHON.findall(PAGE)}

    async def visit() -> None:
        async with convex_test(app, env=ENV) as t, posthog_test(t) as posthog:
            await t.with_identity(subject="ada").mutation("account:change_plan", plan="pro")
            (event,) = posthog.events
            assert (event["event"], event["distinct_id"]) == ("plan_changed", "ada")
            assert event["properties"]["plan"] == "pro"
            assert await t.query("account:discount", user_id="ada") == 0
            await posthog.set_flag("discount-campaign", "variant-a")
            assert await t.query("account:discount", user_id="ada") == 20

    asyncio.run(visit())
