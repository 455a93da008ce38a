"""Errors described, beside what PyPI `posthog` makes of the same ones."""

from __future__ import annotations

import json
import linecache
import sys
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posthog.exception_utils import exc_info_from_error, exceptions_from_error_tuple

from posthog_convex.exceptions import FrameRules, VariableRules, describe
from posthog_convex.exceptions.chain import MAX_LINKS, chain
from posthog_convex.exceptions.entries import MAX_TOTAL_FRAMES
from posthog_convex.exceptions.frames import MAX_FRAMES
from posthog_convex.exceptions.variables import REDACTED, TOO_LONG


class AppError(Exception):
    """What the tests raise."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def fails(key: str = "k") -> None:
    raise KeyError(key)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def caused() -> BaseException:
    try:
        try:
            fails()
        except KeyError as error:
            raise ValueError("bad") from error
    except ValueError as error:
        return error


def official(error: BaseException) -> list[dict[str, Any]]:
    return exceptions_from_error_tuple(exc_info_from_error(error))  # type: ignore[no-any-return]


# --- Chains ---------------------------------------------------------------------------------------

errors = st.recursive(
    st.builds(ValueError, st.text(max_size=5)),
    lambda inner: st.one_of(
        st.tuples(st.just("cause"), inner, inner),
        st.tuples(st.just("context"), inner, inner),
        st.tuples(st.just("hidden"), inner, inner),
        st.tuples(st.just("group"), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


def build(plan: Any) -> Exception:
    """An error with a traceback, as the plan says."""
    if isinstance(plan, Exception):
        made: Exception = type(plan)(*plan.args)
    elif plan[0] == "group":
        made = ExceptionGroup("many", [build(each) for each in plan[1]])
    else:
        made, other = build(plan[1]), build(plan[2])
        if plan[0] == "cause" and made.__cause__ is None:
            made.__cause__ = other
        elif made.__cause__ is None and made.__context__ is None:
            made.__context__ = other
            made.__suppress_context__ = plan[0] == "hidden"
    try:
        raise made
    except Exception as error:
        return error


@settings(max_examples=200, deadline=None)
@given(errors)
def test_chains_are_those_of_the_official_sdk(plan: Any) -> None:
    error = build(plan)
    ours = [
        (e["type"], e["value"], e["mechanism"].get("parent_id"), e["mechanism"].get("source"))
        for e in describe(error)
    ]
    theirs = [
        (e["type"], e["value"], e["mechanism"].get("parent_id"), e["mechanism"].get("source"))
        for e in official(error)
    ]
    assert ours == theirs[:MAX_LINKS]


def test_an_entry_has_the_official_shape() -> None:
    ours, theirs = describe(caused()), official(caused())
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["mechanism"] == other["mechanism"]
        assert (mine["type"], mine["value"], mine["module"]) == (
            other["type"],
            other["value"],
            other["module"],
        )
        mine_frames, other_frames = mine["stacktrace"]["frames"], other["stacktrace"]["frames"]
        for frame, known in zip(mine_frames, other_frames, strict=True):
            # The SDK gives this module's whole path, as it knows no folder that holds it.
            assert known.pop("filename").endswith(frame.pop("filename"))
            assert frame.pop("in_app") is True
            assert frame == known


def test_causes_that_form_a_ring_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert [str(link.error) for link in chain(one)] == ["one", "other"]


def test_a_chain_as_long_as_memory_is_cut() -> None:
    error = first = ValueError("0")
    for i in range(5_000):
        error.__cause__ = error = ValueError(str(i))
    assert len(describe(first)) == MAX_LINKS


# --- Texts ----------------------------------------------------------------------------------------


def test_an_error_without_a_text_is_described_all_the_same() -> None:
    (entry,) = describe(raised(Unprintable()))
    assert entry["value"] == "<unprintable Unprintable>"
    assert entry["module"] == __name__


def test_notes_belong_to_the_text() -> None:
    error = raised(ValueError("bad"))
    error.add_note("while saving ada")
    assert describe(error)[0]["value"] == "bad\nwhile saving ada"


def test_a_long_text_is_cut() -> None:
    (entry,) = describe(raised(ValueError("x" * 1_000_000)))
    assert len(entry["value"]) == 10_000


def test_an_os_error_has_its_number() -> None:
    (entry,) = describe(raised(FileNotFoundError(2, "no such file")))
    assert entry["mechanism"]["meta"] == {"errno": {"number": 2}}


# --- Frames ---------------------------------------------------------------------------------------


def module(name: str, source: str, path: str) -> types.ModuleType:
    """A module as a host loads it from memory: its lines are known to `linecache` alone."""
    made = types.ModuleType(name)
    made.__dict__["AppError"] = AppError
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), made.__dict__)
    return made


RULES = FrameRules(app_packages=("_app",), in_app_modules=("ours",), carriers=("carrier",))


def test_the_oldest_call_comes_first_with_source_lines_around_each() -> None:
    shop = module(
        "_app_3.orders.place",
        "def inner(n):\n    # the line that raises\n    raise ValueError(n)\n\n"
        "def place(n):\n    inner(n)\n",
        "/home/ada/convex/orders/place.py",
    )
    with pytest.raises(ValueError, match="5") as caught:
        shop.place(5)
    frames = describe(caught.value, rules=RULES)[0]["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames][-2:] == ["place", "inner"]
    last = frames[-1]
    assert last["filename"] == "orders/place.py"
    assert last["abs_path"] == "/home/ada/convex/orders/place.py"
    assert last["module"] == "orders.place"
    assert last["lineno"] == 3
    assert last["in_app"] is True
    assert last["context_line"] == "    raise ValueError(n)"
    assert last["pre_context"] == ["def inner(n):", "    # the line that raises"]
    assert last["post_context"] == ["", "def place(n):", "    inner(n)"]


def test_what_only_carries_the_call_is_left_out_outside_and_kept_inside() -> None:
    carrier = module("carrier.run", "def carry(f):\n    f()\n", "/x/carrier/run.py")
    app = module("_app.shop", "def go(carry, f):\n    carry(f)\n", "/x/shop.py")
    with pytest.raises(KeyError) as caught:
        carrier.carry(lambda: app.go(carrier.carry, fails))
    error = caught.value
    assert error.__traceback__ is not None
    outside = error.with_traceback(error.__traceback__.tb_next)  # without this test's own frame
    frames = describe(outside, rules=RULES)[0]["stacktrace"]["frames"]
    assert [f["function"] for f in frames] == ["<lambda>", "go", "carry", "fails"]
    assert [f["in_app"] for f in frames] == [False, True, False, False]


@pytest.mark.parametrize(
    ("name", "path", "in_app"),
    [
        ("anything", "/srv/anything.py", True),
        ("stripe.api", "/venv/lib/python3.11/site-packages/stripe/api.py", False),
        ("ours.deep", "/venv/lib/python3.11/site-packages/ours/deep.py", True),
        ("oursnot", "/venv/lib/python3.11/site-packages/oursnot.py", False),
        ("json.decoder", json.decoder.__file__, False),
        ("frozen", "<frozen importlib._bootstrap>", False),
        ("carrier.run", "/srv/carrier/run.py", False),
    ],
)
def test_which_frames_are_the_apps(name: str, path: str, in_app: bool) -> None:
    rules = FrameRules(in_app_modules=("ours",), carriers=("carrier",))
    made = module(name, "def go():\n    raise AppError\n", path)
    with pytest.raises(AppError) as caught:
        made.go()
    assert describe(caught.value, rules=rules)[0]["stacktrace"]["frames"][-1]["in_app"] is in_app


def test_a_frame_that_asks_to_be_hidden_is() -> None:
    def hidden() -> None:
        __traceback_hide__ = True  # noqa: F841 - read from the frame
        fails()

    with pytest.raises(KeyError) as caught:
        hidden()
    names = [f["function"] for f in describe(caught.value)[0]["stacktrace"]["frames"]]
    assert names[-1] == "fails"
    assert "hidden" not in names


def test_a_deep_recursion_keeps_its_ends() -> None:
    def deeper(n: int) -> None:
        deeper(n + 1)

    with pytest.raises(RecursionError) as caught:
        deeper(0)
    frames = describe(caught.value)[0]["stacktrace"]["frames"]
    assert len(frames) == MAX_FRAMES
    assert frames[0]["function"] == "test_a_deep_recursion_keeps_its_ends"
    assert frames[-1]["function"] == "deeper"


def test_many_deep_errors_stay_small() -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise ValueError("x" * 300)

    error = first = ValueError("first")
    for _ in range(MAX_LINKS):
        with pytest.raises(ValueError, match="xxx") as caught:
            deep(60)
        error.__cause__ = error = caught.value
    entries = describe(raised(first))
    frames = [f for e in entries for f in e.get("stacktrace", {}).get("frames", [])]
    assert len(frames) == MAX_TOTAL_FRAMES
    assert len(json.dumps(entries)) < 600_000


def test_lines_that_may_not_be_read_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> list[str]:
        raise RuntimeError("a query can't read files")

    error = caused()
    monkeypatch.setattr(linecache, "getlines", refuse)
    frame = describe(error)[0]["stacktrace"]["frames"][-1]
    assert "context_line" not in frame
    assert frame["function"] == "caused"


def test_an_error_that_was_never_raised_has_the_frames_of_who_reports_it() -> None:
    (entry,) = describe(ValueError("made"), caller=sys._getframe())
    assert entry["mechanism"]["synthetic"] is True
    assert entry["stacktrace"]["frames"][-1]["function"] == sys._getframe().f_code.co_name
    (bare,) = describe(ValueError("made"))
    assert "stacktrace" not in bare


# --- Variables ------------------------------------------------------------------------------------


def with_variables(fails: Any, **rules: Any) -> dict[str, Any]:
    with pytest.raises(AppError) as caught:
        fails()
    entries = describe(caught.value, variables=VariableRules(**rules))
    shown: dict[str, Any] = entries[0]["stacktrace"]["frames"][-1]["code_variables"]
    return shown


def test_variables_are_shown_only_when_asked_for() -> None:
    assert "code_variables" not in describe(caused())[0]["stacktrace"]["frames"][-1]


def test_secrets_are_masked_by_name_and_by_shape() -> None:
    def go() -> None:
        plan, seats, rate = "pro", 3, 0.5
        user_password = "hunter2"
        settings = {"STRIPE_API_KEY": "x", "currency": "EUR", "nested": [{"auth": 1, "n": 2}]}
        key = "phx_abcdefghijklmnop"
        address = "postgres://ada:hunter2@db.example/shop"
        jwt_like = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln"
        random_text = "aB3xK9pQ2mZ7wR4tY8vN1cL6"
        order = "jd7f3q9m2k5t8w1x4z6b0c2v5n8h1g4s"
        raise AppError(plan, seats, rate, user_password, settings, key, address, jwt_like,
                         random_text, order)  # fmt: skip

    shown = with_variables(go)
    assert shown == {
        "plan": "pro",
        "seats": 3,
        "rate": 0.5,
        "user_password": REDACTED,
        "settings": {
            "STRIPE_API_KEY": REDACTED,
            "currency": "EUR",
            "nested": [{"auth": REDACTED, "n": 2}],
        },
        "key": REDACTED,
        "address": f"postgres://{REDACTED}@db.example/shop",
        "jwt_like": REDACTED,
        "random_text": REDACTED,
        "order": "jd7f3q9m2k5t8w1x4z6b0c2v5n8h1g4s",
    }


def test_code_of_the_values_is_never_called() -> None:
    class Loud:
        def __repr__(self) -> str:
            raise AssertionError("looked at")

        __str__ = __repr__

    def go() -> None:
        loud = Loud()
        raise AppError(loud is None)

    shown = with_variables(go)
    assert shown["loud"].endswith("Loud>")


def test_variables_have_bounds() -> None:
    def go() -> None:
        long = "word " * 1000
        many = list(range(1000))
        ring: list[Any] = []
        ring.append(ring)
        raise AppError(len(long), len(many), len(ring))

    shown = with_variables(go)
    assert shown["long"] == TOO_LONG
    assert shown["many"][-1] == "… 1000 in all"
    rules = VariableRules()
    room = 100
    some = rules.shown({f"v{i}": "x" * 10 for i in range(50)}, room)
    assert 0 < len(some) < 10


def test_own_patterns_replace_the_usual_ones() -> None:
    def go() -> None:
        password, iq = "p", 130
        raise AppError(password, iq)

    shown = with_variables(go, mask_patterns=("iq",), ignore_patterns=("pass",))
    assert shown == {"iq": REDACTED}


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
            max_leaves=10,
        ),
        max_size=6,
    )
)
def test_any_variables_can_be_shown(variables: dict[str, Any]) -> None:
    shown = VariableRules().shown(variables, 10_000)
    json.dumps(shown, allow_nan=False)
