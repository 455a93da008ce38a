"""The page against the types of the functions, as the TypeScript compiler sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from opened_shop import SHOP

pytestmark = pytest.mark.usefixtures("npm_packages")


def test_the_page_compiles_and_auth_sync_with_it() -> None:
    compiled = run(["node", "node_modules/typescript/bin/tsc"])
    assert compiled.returncode == 0, compiled.stdout
    assert "usePostHog()" in (SHOP / "src/components/AuthSync.tsx").read_text()


def test_a_call_that_the_functions_would_refuse_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "wrong.ts").write_text(
        f'import {{ api }} from "{SHOP}/convex/_generated/api";\n'
        'export const args: (typeof api.users.choose_plan)["_args"] = { plan: "gold" };\n'
    )
    config = {
        "extends": str(SHOP / "tsconfig.json"),
        "compilerOptions": {"types": []},
        "include": ["wrong.ts"],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    compiled = run(["node", "node_modules/typescript/bin/tsc", "-p", str(tmp_path)])
    assert compiled.returncode != 0
    assert 'Type \'"gold"\' is not assignable to type \'"free" | "club"\'' in compiled.stdout


def test_the_types_are_those_of_the_functions() -> None:
    pyconvex = Path(sys.executable).with_name("pyconvex")
    checked = run([str(pyconvex), "codegen"])
    assert "up to date" in checked.stdout, checked.stdout + checked.stderr


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=SHOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
