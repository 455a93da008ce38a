from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from posthog_convex.cli import main


def test_help_names_the_project_and_every_command() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    assert "Unofficial" in shown.output
    for name in main.list_commands(None):  # type: ignore[arg-type]  # the table needs no context
        assert f"\n  {name} " in shown.output


def test_an_unknown_command_is_a_wrong_command_line() -> None:
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2


def test_help_imports_neither_a_server_nor_the_host() -> None:
    """Beginning takes a tenth of a second, and needs no host."""
    program = (
        "import sys\n"
        "from posthog_convex.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'pyconvex', 'starlette', 'uvicorn', 'httpx2', 'pyarrow', 'duckdb', 'dlt'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
