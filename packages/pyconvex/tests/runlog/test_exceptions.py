"""Errors as plain values."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pyconvex.runlog import ErrorIds, ExceptionReport
from pyconvex.runlog.exceptions import MAX_ERRORS, MAX_FRAMES, MAX_MESSAGE, Describer


def describe(error: BaseException, *, variables: bool = False) -> ExceptionReport:
    describer = Describer(
        ErrorIds("run"),
        in_app=lambda module: "here" if module == __name__ else None,
        data_of=lambda error: error.args[0] if isinstance(error, KeyError) else None,
        variables=variables,
    )
    report = describer.describe(error)
    packed = msgspec.msgpack.encode(report)
    assert msgspec.msgpack.decode(packed, type=ExceptionReport) == report
    return report


def raised(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def divide(number: int) -> float:
    zero = 0
    return number / zero  # the line that raises


def test_frames_come_outermost_first_with_their_source() -> None:
    report = describe(raised(lambda: divide(3)))
    assert (report.type, report.module, report.message) == (
        "ZeroDivisionError",
        "",
        "division by zero",
    )
    last = report.frames[-1]
    assert [frame.function for frame in report.frames] == [
        "raised",
        "test_frames_come_outermost_first_with_their_source.<locals>.<lambda>",
        "divide",
    ]
    assert (last.file, last.module, last.in_app) == (__file__, "here", True)
    assert last.source == "    return number / zero  # the line that raises"
    assert last.before[-1] == "    zero = 0"
    assert last.after[:3] == (
        "",
        "",
        "def test_frames_come_outermost_first_with_their_source() -> None:",
    )
    assert last.variables is None


def test_variables_are_shown_on_request_whatever_their_repr_does() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError

    def fails() -> None:
        shy, number, text = Shy(), 3, "half a \ud83d pair"
        api_key = user_password = "hush"
        raise ValueError(shy, number, text, api_key, user_password)

    report = describe(raised(fails), variables=True)
    shown = report.frames[-1].variables
    assert shown == {
        "Shy": repr(Shy),
        "shy": "<no repr>",
        "number": "3",
        "text": r"'half a \ud83d pair'",
        "api_key": "<hidden>",
        "user_password": "<hidden>",
    }


def test_causes_contexts_groups_and_notes() -> None:
    def chain() -> None:
        try:
            try:
                divide(1)
            except ZeroDivisionError:
                raise KeyError(b"[1]")  # noqa: B904  # the context is what is tested
        except KeyError as error:
            error.add_note("seen on the way")
            raise ExceptionGroup("two", [ValueError("a"), TypeError("b")]) from error

    report = describe(raised(chain))
    assert (report.type, report.message, report.cause_named) == (
        "ExceptionGroup",
        "two (2 sub-exceptions)",
        True,
    )
    assert [member.type for member in report.members] == ["ValueError", "TypeError"]
    cause = report.cause
    assert cause is not None
    assert (cause.type, cause.data, cause.notes) == ("KeyError", b"[1]", ("seen on the way",))
    assert not cause.cause_named
    assert cause.cause is not None
    assert cause.cause.type == "ZeroDivisionError"

    def hidden() -> None:
        try:
            divide(1)
        except ZeroDivisionError:
            raise KeyError from None

    assert describe(raised(hidden)).cause is None


def test_a_report_is_bounded() -> None:
    def deep(n: int) -> None:
        deep(n - 1) if n else divide(1)

    report = describe(raised(lambda: deep(300)))
    assert len(report.frames) == MAX_FRAMES
    assert report.frames_omitted == 304 - MAX_FRAMES
    assert report.frames[-1].function == "divide"

    many = describe(ExceptionGroup("m", [ValueError(n) for n in range(1000)]))
    assert len(many.members) == MAX_ERRORS - 1

    knot = ValueError("x" * 100_000)
    knot.__context__ = other = TypeError()
    other.__context__ = knot
    tied = describe(knot)
    assert len(tied.message) == MAX_MESSAGE
    assert tied.cause is not None
    assert tied.cause.cause is None


def test_describing_never_raises() -> None:
    class Hostile(Exception):
        __notes__ = 5

        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Hostile()).message == "<Hostile without a text>"
    assert describe(KeyError()).data is None  # whose data could not be made
    assert describe(ValueError("a \ud800 b")).message == "a ? b"


def test_ids_belong_to_objects_in_the_order_of_asking() -> None:
    first, second = ValueError("same"), ValueError("same")
    ids, again = ErrorIds("run-1"), ErrorIds("run-1")
    assert ids.of(first) == ids.of(first) != ids.of(second)
    assert (again.of(second), again.of(first)) == (ids.of(first), ids.of(second))
    assert ErrorIds("run-2").of(first) != ids.of(first)
    ids.adopt(third := KeyError(), "another run's")
    assert ids.of(third) == "another run's"


def test_an_error_without_a_traceback_has_no_frames() -> None:
    assert describe(ValueError("made, not raised")).frames == ()
