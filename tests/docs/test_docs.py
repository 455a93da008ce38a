"""The docs name what the code has: modules, commands, settings, endpoints, dependencies.

Each test reads the code and asks the docs, so that adding a thing without a word about it fails.
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/*/"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")])

SETTING = re.compile(r"(PYCONVEX|POSTHOG|CONVEX|VITE|NEXT_PUBLIC)_[A-Z0-9_]*[A-Z0-9]")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def modules() -> Iterator[Path]:
    for source in SOURCES:
        yield from (file for file in source.rglob("*.py") if file.read_text().strip())


def test_generated_parts_say_what_the_code_does() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_architecture_names_every_module() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    missing = [f for f in modules() if f"../{f.relative_to(ROOT).as_posix()})" not in text]
    assert missing == []


def test_architecture_names_no_module_that_is_gone() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    whole = [f"/{file.relative_to(ROOT).as_posix()}" for file in modules()]
    named = re.findall(r"`([\w./-]+\.py)`", text)
    assert named
    assert [name for name in named if not any(p.endswith(f"/{name}") for p in whole)] == []


@pytest.mark.parametrize(
    "house", ["pyconvex", "pyconvex.runtime", "posthog_convex", "posthog_local"]
)
def test_architecture_has_the_floors_of_the_contract(house: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [c["layers"] for c in contracts["contracts"] if c.get("containers") == [house]]
    text = (ROOT / "docs/architecture.md").read_text()
    tables = re.findall(r"^\| floor \| room \| owns \|\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    drawn = [
        [set(re.findall(r"`(\w+)`", row.split("|")[2])) for row in t.splitlines()] for t in tables
    ]
    assert [set(layer.split(" | ")) for layer in reversed(layers)] in drawn


def test_reference_names_every_setting() -> None:
    named = set(re.findall(r"`([A-Z0-9_]+)`", (ROOT / "docs/reference.md").read_text()))
    nodes = [node for file in modules() for node in ast.walk(ast.parse(file.read_text()))]
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    used = {text for text in texts if SETTING.fullmatch(text)}
    assert used - named == set()


def test_notices_name_every_dependency() -> None:
    notices = (ROOT / "THIRD_PARTY_NOTICES").read_text()
    words = set(re.findall(r"[@\w][\w@/.-]*", notices))
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements/runtime.txt").read_text(), re.M)
    named = re.findall(r"^(\w[\w.-]*)", (ROOT / "requirements/dev.in").read_text(), re.M)
    npm = {
        name if not version.startswith("npm:") else version[4:].rpartition("@")[0]
        for file in tracked("*package.json")
        for kind in ("dependencies", "devDependencies")
        for name, version in json.loads(file.read_text()).get(kind, {}).items()
    }
    assert pinned
    assert {*pinned, *named, *npm} - words == set()


def test_compatibility_names_the_versions_that_the_tests_run() -> None:
    text = (ROOT / "docs/compatibility.md").read_text()
    rows = re.findall(r"^\| (npm|PyPI) `([^`]+)` \| (\S+) \|", text, re.M)
    assert {(kind, name, version) for kind, name, version in rows} == judges()


def judges() -> set[tuple[str, str, str]]:
    """The clients and SDKs that tests and benchmarks run, with their pinned versions."""
    locked = (ROOT / "requirements/dev.txt").read_text()
    python = re.findall(
        r"^(convex|posthog|openai|anthropic|pydantic-ai-slim|opentelemetry-(?:sdk|"
        r"exporter-otlp-proto-http|instrumentation-openai-v2|instrumentation-anthropic))==(\S+)",
        locked,
        re.M,
    )
    found = {("PyPI", name, version) for name, version in python}
    projects = [*ROOT.glob("tests/*/package.json"), ROOT / "benchmarks/peers/package.json"]
    for file in projects:
        for name, version in json.loads(file.read_text())["dependencies"].items():
            # An alias reads "npm:convex@1.39.1".
            original, _, exact = version.removeprefix("npm:").rpartition("@")
            found.add(("npm", original or name, exact))
    return found


def test_packages_declare_what_the_pins_install() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements/runtime.txt").read_text(), re.M))
    for package in ("pyconvex", "posthog-convex", "posthog-local"):
        wanted = {
            re.split(r"[^\w.-]", need)[0]
            for need in importlib.metadata.requires(package) or []
            if "extra ==" not in need
        }
        assert wanted - pinned - {"pyconvex"} == set(), package


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        target
        for target in LINK.findall(page.read_text())
        if not re.match(r"[a-z]+:", target) and not reachable(page, target)
    ]
    assert broken == []


def reachable(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists() or not anchor:
        return file.exists()
    headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
    return anchor in {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_fenced_python_runs(page: Path) -> None:
    names: dict[str, object] = {"__name__": "fenced"}
    for block in FENCE.findall(page.read_text()):
        code = compile(block, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if not code.co_flags & inspect.CO_COROUTINE:  # what awaits stands inside a function
            exec(code, names)


@pytest.mark.parametrize("package", sorted(ROOT.glob("packages/*/")), ids=lambda p: p.name)
def test_a_package_ships_licence_and_notice(package: Path) -> None:
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert "Unofficial: " in (package / "README.md").read_text()


def test_docs_say_that_this_is_unofficial() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "Not affiliated with or endorsed by Convex or PostHog" in readme


def tracked(pattern: str) -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in done.stdout.splitlines()]
