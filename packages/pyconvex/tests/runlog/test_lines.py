"""The form and the limits of log lines."""

from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.runlog import LogLine, LogLines
from pyconvex.runlog.lines import MAX_LINE_BYTES, MAX_LINES


def lines(*added: tuple[str, object]) -> list[str]:
    log = LogLines()
    for level, message in added:
        log.add(level, message)
    return log.as_list()


@pytest.mark.parametrize(
    ("level", "message", "line"),
    [
        ("debug", "a", "[DEBUG] 'a'"),
        ("info", "it's", r"[INFO] 'it\'s'"),
        ("log", "a\\b", r"[LOG] 'a\\b'"),
        ("warn", "two\nlines", "[WARN] 'two\nlines'"),
        ("error", {"n": 1}, "[ERROR] {'n': 1}"),
        ("shout", "a", "[LOG] 'a'"),
        ("log", "", "[LOG] ''"),
    ],
)
def test_lines_begin_with_their_level(level: str, message: object, line: str) -> None:
    assert lines((level, message)) == [line]


def test_there_are_at_most_so_many_and_the_last_says_so() -> None:
    assert len(lines(*[("log", "x")] * (MAX_LINES - 1))) == MAX_LINES - 1
    for count in (MAX_LINES, MAX_LINES + 50):
        got = lines(*[("log", "x")] * count)
        assert len(got) == MAX_LINES == 256
        assert got[-2:] == [
            "[LOG] 'x'",
            "[ERROR] Log overflow (maximum 256). Remaining log lines omitted.",
        ]


@given(st.text(alphabet="aü€😀", min_size=1).map(lambda text: text * 20_000))
def test_a_long_line_is_cut_between_characters(text: str) -> None:
    [line] = lines(("log", text))
    assert len(line.encode()) <= MAX_LINE_BYTES == 32_768
    assert line.endswith(" (truncated due to length)") or line == f"[LOG] '{text}'"


@given(st.lists(st.text(alphabet="ab\n", max_size=5), max_size=12))
def test_what_is_printed_in_pieces_comes_in_lines(pieces: list[str]) -> None:
    log = LogLines()
    for piece in pieces:
        log.write(piece)
    whole = "".join(pieces)
    wanted = whole.split("\n")
    if not wanted[-1]:
        wanted.pop()
    assert log.as_list() == [f"[LOG] '{line}'" for line in wanted]
    assert log.as_list() == [f"[LOG] '{line}'" for line in wanted], "asking changes nothing"
    assert all(re.match(r"^\[.*?\] ", line) for line in log.as_list())


def test_warnings_of_limits_come_also_when_no_line_is_left() -> None:
    lines = LogLines()
    for number in range(300):
        lines.add("log", f"{number}")
    lines.warn_of_limit("TooManyReads", "Many 'reads'")
    assert lines.as_list()[-1] == "[WARN] Many 'reads'"
    assert [line.code for line in lines.lines()[-2:]] == ["", "warning:TooManyReads"]
    assert len(lines.as_list()) == 257


def test_nested_calls_write_into_the_same_lines_under_their_name() -> None:
    log = LogLines(lambda: 5.0)
    log.add("log", "before")
    nested = log.within("users:get", "auth")
    nested.write("from\nwithin")
    log.write("outside")
    nested.end()
    log.add("log", {1})
    assert [(line.text, line.path, line.component) for line in log.lines()] == [
        ("before", "", ""),
        ("from", "users:get", "auth"),
        ("within", "users:get", "auth"),
        ("{1}", "", ""),
        ("outside", "", ""),
    ]
    assert {line.ts_ms for line in log.lines()} == {5.0}
    for _ in range(MAX_LINES):
        nested.add("log", "x")
    assert len(log.lines()) == MAX_LINES, "nested lines count"


def test_each_line_is_told_as_it_comes() -> None:
    told: list[str] = []

    class Listener:
        def line(self, line: LogLine, printer: int) -> None:
            told.append(line.as_client())

        def piece(self, path: str, component: str, printer: int, text: str) -> None:
            told.append(f"{path}|{text}")

    log = LogLines(listener=Listener())
    log.add("info", "a")
    log.within("b:c", "").write("b\nbe")
    log.write("gun")
    log.write(" here\n")
    assert told == ["[INFO] 'a'", "[LOG] 'b'", "b:c|be", "|gun", "[LOG] 'gun here'"]


def test_threads_do_not_mix_what_they_print() -> None:
    log = LogLines()
    log.write("mine")
    other = threading.Thread(target=log.write, args=("another's\nleft open",))
    other.start()
    other.join()
    log.write(" too\n")
    assert [line.text for line in log.lines()] == ["another's", "mine too", "left open"]


def test_of_a_line_without_an_end_as_much_is_kept_as_is_shown() -> None:
    log = LogLines()
    for _ in range(100):
        log.write("x" * 1000)
    assert sum(map(len, log._open.values())) <= MAX_LINE_BYTES + 1000
    (line,) = log.lines()
    assert line.truncated
    assert len(line.as_client()) == MAX_LINE_BYTES


def test_a_text_that_no_encoding_can_carry_is_mended() -> None:
    assert lines(("log", "half a \ud83d pair")) == ["[LOG] 'half a ? pair'"]
