"""What `pyconvex init` writes: a functions folder with something in it, a test, and their setting.

Owns the files and their texts. Never overwrites. One invariant: either every file is written, or
none.

Packages add their own with an entry point of the group `pyconvex.init`: a function without
arguments that gives files by path, which replace those below.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Final

GROUP: Final = "pyconvex.init"

_CONFIG: Final = '''\
"""The app: the variables that it needs and the components that it uses."""

from pyconvex import define_app

app = define_app()
'''

_MESSAGES: Final = '''\
"""A room in which everybody can say something."""

from pyconvex import Document, MutationCtx, QueryCtx, mutation, query


class Message(Document, table="messages"):
    author: str
    body: str


@query
async def latest(ctx: QueryCtx) -> list[Message]:
    return await ctx.db.query(Message).order("desc").take(50)


@mutation
async def send(ctx: MutationCtx, author: str, body: str) -> None:
    await ctx.db.insert(Message(author=author, body=body))
'''

_TESTS: Final = '''\
"""The functions, tested in this process: no server and no port. Run with: pytest"""

from pathlib import Path

import pytest
from pyconvex.testing import convex_test

CONVEX = Path(__file__).parents[1] / "convex"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_message_is_there_for_everybody() -> None:
    async with convex_test(CONVEX) as t:
        await t.mutation("messages:send", author="Ada", body="hello")
        (message,) = await t.query("messages:latest")
        assert (message.author, message.body) == ("Ada", "hello")
'''

#: Lines for `.gitignore`: the admin key stands in one, the documents in the other.
_IGNORED: Final = (".env.local", ".pyconvex/")
#: And, where there was no such file, what else belongs to one machine.
_IGNORED_ANYWAY: Final = (".venv/", "__pycache__/", "node_modules/")

_README: Final = """\
## Backend

The functions in `convex/` are Python; `pyconvex dev` serves them and deploys them at every save:

    pyconvex dev
    pyconvex run messages:send '{"author": "Ada", "body": "hello"}'
    pyconvex data messages

Its tests need no server: `pip install pytest`, then `pytest`.
"""

#: The functions folder is no package, so its modules are named from the project's folder.
_MYPY: Final = "explicit_package_bases = true"


class AlreadyThereError(Exception):
    """Files that would be written exist; nothing was."""


class NotInstalledError(Exception):
    """Nobody offers such files; the message says who would."""


def files_of(offer: str | None) -> dict[str, str]:
    """The files of a new project by path, with those that a package offers."""
    base = {
        "convex/convex_config.py": _CONFIG,
        "convex/messages.py": _MESSAGES,
        "tests/test_messages.py": _TESTS,
    }
    if offer is None:
        return base
    for point in importlib.metadata.entry_points(group=GROUP, name=offer):
        offered: Mapping[str, str] = point.load()()
        return {**base, **offered}
    raise NotInstalledError(
        f"Nothing that is installed here offers files for {offer!r}. Try: pip install "
        f"{offer}-convex"
    )


def make_project(project: Path, files: Mapping[str, str]) -> list[str]:
    """Write these files and what goes around them; what was written, in words.

    Raises `AlreadyThereError`.
    """
    there = [name for name in sorted(files) if (project / name).exists()]
    if there:
        raise AlreadyThereError(f"Already there: {', '.join(there)}. Nothing was written.")
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    return [*sorted(files), *_ignore(project), *_type_check(project), *_tell(project)]


def _ignore(project: Path) -> list[str]:
    file = project / ".gitignore"
    text = file.read_text("utf-8") if file.exists() else ""
    wanted = _IGNORED if file.exists() else (*_IGNORED, *_IGNORED_ANYWAY)
    missing = [line for line in wanted if line not in text.splitlines()]
    if missing:
        _append(file, "\n".join(missing) + "\n")
    return [".gitignore"] if missing else []


def _type_check(project: Path) -> list[str]:
    """mypy's option, where its settings are, unless somebody has settings of their own."""
    pyproject = project / "pyproject.toml"
    if pyproject.exists():
        if "[tool.mypy" in pyproject.read_text("utf-8"):
            return []
        _append(pyproject, f"\n[tool.mypy]\n{_MYPY}\n")
        return ["pyproject.toml"]
    if any((project / name).exists() for name in ("mypy.ini", ".mypy.ini", "setup.cfg")):
        return []
    (project / "mypy.ini").write_text(f"[mypy]\n{_MYPY}\n", encoding="utf-8")
    return ["mypy.ini"]


def _tell(project: Path) -> list[str]:
    file = project / "README.md"
    if file.exists() and "pyconvex" in file.read_text("utf-8"):
        return []
    _append(file, _README if not file.exists() else f"\n{_README}")
    return ["README.md"]


def _append(file: Path, text: str) -> None:
    before = file.read_text("utf-8") if file.exists() else ""
    gap = "\n" if before and not before.endswith("\n") else ""
    file.write_text(before + gap + text, encoding="utf-8")
