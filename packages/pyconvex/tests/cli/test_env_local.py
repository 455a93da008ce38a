"""The `.env.local` file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pyconvex.cli import env_local


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        env_local.write(tmp_path, {"URL": "http://x", "KEY": "local|01ab"})
    finally:
        os.umask(before)
    path = tmp_path / ".env.local"
    assert mode(path) == 0o600
    assert path.read_text() == "URL='http://x'\nKEY='local|01ab'\n"
    assert env_local.read(tmp_path) == {"URL": "http://x", "KEY": "local|01ab"}
    assert os.listdir(tmp_path) == [".env.local"], "nothing temporary stays"


def test_other_lines_are_kept_and_a_wider_mode_is_not(tmp_path: Path) -> None:
    path = tmp_path / ".env.local"
    path.write_text("# mine\nOTHER=1\n\nURL=old\n# URL=commented out\nLAST=x")
    path.chmod(0o644)
    env_local.write(tmp_path, {"URL": "new"})
    assert path.read_text() == "# mine\nOTHER=1\n\n# URL=commented out\nLAST=x\nURL='new'\n"
    assert mode(path) == 0o600


@pytest.mark.parametrize(
    ("line", "value"),
    [("A=1", "1"), (" A = 1 ", "1"), ("A='1'", "1"), ('A="1"', "1"), ("A=a=b", "a=b"), ("A=", "")],
)
def test_common_spellings_are_read(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env.local").write_text(f"# B=2\nnothing\n{line}\n")
    assert env_local.read(tmp_path) == {"A": value}


def test_variables_are_removed_and_the_same_is_not_written_again(tmp_path: Path) -> None:
    env_local.write(tmp_path, {"A": "1", "B": "it's"})
    env_local.write(tmp_path, {"A": None})
    path = tmp_path / ".env.local"
    assert path.read_text() == 'B="it\'s"\n'
    before = path.stat().st_ino
    env_local.write(tmp_path, {"A": None, "B": "it's"})
    assert path.stat().st_ino == before
    assert not env_local.can_hold("both ' and \"")


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert env_local.read(tmp_path) == {}


def test_a_file_that_can_not_be_replaced_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / ".env.local").mkdir()
    with pytest.raises(OSError):  # noqa: PT011
        env_local.write(tmp_path, {"URL": "x"})
    assert os.listdir(tmp_path) == [".env.local"]
