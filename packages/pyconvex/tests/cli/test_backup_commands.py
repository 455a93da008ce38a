"""What the commands say and refuse; the copying itself is storage's."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyconvex.cli import main
from pyconvex.storage import Proposal, QueueAppend, Store


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture
def data(tmp_path: Path):
    store = Store.open(tmp_path / "data")
    store.append([Proposal(0, b"", (), (QueueAppend(1, b"row"),))])
    yield tmp_path / "data"
    store.close()


def test_back_up_to_a_file_and_restore(data, tmp_path):
    done = run("backup", tmp_path / "copy.sqlite3", "--data", data)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Backed up {data} to {tmp_path / 'copy.sqlite3'} (0.")
    done = run("restore", tmp_path / "copy.sqlite3", "--data", tmp_path / "again")
    assert done.exit_code == 0, done.output
    again = Store.open(tmp_path / "again")
    assert again.queue_stats(1).rows == 1
    again.close()


def test_back_up_into_a_folder(data, tmp_path):
    (tmp_path / "copies").mkdir()
    assert run("backup", tmp_path / "copies", "--data", data).exit_code == 0
    [copy] = (tmp_path / "copies").iterdir()
    assert copy.match("pyconvex-20*-*.sqlite3")


def test_refusals_are_sentences(data, tmp_path):
    for arguments, reason in (
        (("backup", data / "data.sqlite3", "--data", data), "exists already"),
        (("backup", tmp_path / "copy", "--data", tmp_path / "none"), "holds no data"),
        (("restore", tmp_path / "none", "--data", tmp_path / "new"), "There is no backup"),
        (("restore", data / "data.sqlite3", "--data", data), "is not empty"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert done.output.startswith("Error: ")
        assert reason in done.output
