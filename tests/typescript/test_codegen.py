"""What `pyconvex codegen` writes, judged by TypeScript with React code after Convex's docs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyconvex.cli import main

HERE = Path(__file__).parent
GENERATED = ["api.d.ts", "api.js", "dataModel.d.ts", "dataModel.js"]


@pytest.fixture(scope="session", autouse=True)
def _npm_packages() -> None:
    """What the lock file pins, unless it is there; `./run test` has done it already."""
    if not (HERE / "node_modules" / "typescript").is_dir():
        npm = ["npm", "ci", "--prefix", str(HERE), "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(npm, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the app and its frontend."""
    shutil.copytree(HERE / "app", tmp_path / "convex", ignore=shutil.ignore_patterns("__*"))
    shutil.copytree(HERE / "src", tmp_path / "src")
    shutil.copy(HERE / "tsconfig.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    return tmp_path


@pytest.fixture
def codegen(project: Path) -> Callable[[], str]:
    def codegen() -> str:
        done = CliRunner().invoke(main, ["codegen", "--functions", str(project / "convex")])
        assert done.exit_code == 0, done.output
        return done.stdout

    return codegen


def tsc(project: Path) -> str:
    """What the compiler has to say; empty when nothing is wrong."""
    done = subprocess.run(
        ["node", str(HERE / "node_modules" / "typescript" / "bin" / "tsc"), "--project", "."],
        cwd=project,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_frontends_written_after_the_docs_compile_and_mistakes_do_not(
    project: Path, codegen: Callable[[], str]
) -> None:
    codegen()
    assert tsc(project) == ""


def test_an_app_without_tables(project: Path, codegen: Callable[[], str]) -> None:
    shutil.rmtree(project / "src")
    (project / "src").mkdir()
    (project / "convex" / "shop.py").unlink()
    (project / "src" / "use.ts").write_text(
        'import { api } from "../convex/_generated/api";\n'
        'import type { Doc, Id } from "../convex/_generated/dataModel";\n'
        "export const ping = api.folder.deep.ping;\n"
        "export function id(document: Doc): Id { return document._id; }\n"
    )
    codegen()
    assert tsc(project) == ""


def test_it_is_written_once(project: Path, codegen: Callable[[], str]) -> None:
    assert "api.d.ts" in codegen()
    folder = project / "convex" / "_generated"
    assert sorted(file.name for file in folder.iterdir()) == GENERATED
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    assert codegen().endswith("is up to date.\n")
    assert {f: (f.read_bytes(), f.stat().st_mtime_ns) for f in folder.iterdir()} == before


def test_other_peoples_generator_reads_our_function_spec(project: Path) -> None:
    """`convex-helpers ts-api-spec` makes types from the function spec, for other repositories."""
    from pyconvex.runtime.app.analysis import analyse
    from pyconvex.runtime.app.loader import read_sources
    from pyconvex.runtime.system_queries.api_spec import api_spec

    folder = project / "convex"
    spec = analyse(read_sources(folder), str(folder), "_typed_frontend").spec
    said = {"url": "http://127.0.0.1:3210", "functions": api_spec(spec.root)}
    (project / "spec.json").write_text(json.dumps(said))
    helpers = HERE / "node_modules" / "convex-helpers" / "bin.cjs"
    done = subprocess.run(
        ["node", str(helpers), "ts-api-spec", "--input-file", "spec.json", "--output-file", "spec"],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(project / "src")
    (project / "src").mkdir()
    shutil.move(project / "spec.ts", project / "src" / "spec.ts")
    (project / "src" / "use.ts").write_text(
        'import type { FunctionArgs } from "convex/server";\n'
        'import { api } from "./spec";\n'
        "export const args: FunctionArgs<typeof api.shop.topCustomers> = { limit: 1 };\n"
    )
    codegen_less = tsc(project)
    assert codegen_less == ""
