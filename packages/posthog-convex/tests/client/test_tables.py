"""The published tables: what each call does in each kind of function, and what a flag call answers.

Owns their data, the tests of every cell, and the page: `python …/test_tables.py` rewrites it. One
invariant: a cell is published exactly as it is tested.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyconvex.delivery import Request, Response, Unreachable
from pyconvex.testing import FunctionFailed, convex_test

PAGE = Path(__file__).resolve().parents[4] / "docs" / "posthog" / "tables.md"
KINDS = ("query", "mutation", "action")

WRITES = (
    "posthog.{method} can't run in query '{function}': queries re-run and write nothing. Call it "
    "from a mutation or action."
)
ASKS = (
    "posthog.{method} can't run in {kind} '{function}': it asks PostHog over HTTP, which only "
    "actions may. Call it from an action, or read the flag here with get_feature_flag."
)
RELOADS = (
    "posthog.{method} can't run in {kind} '{function}': it asks PostHog over HTTP, which only "
    "actions may. Call it from an action; the lane refreshes flags by itself anyway."
)

#: Method and arguments → the error in a query, a mutation, an action; None where it works.
METHODS: dict[str, tuple[list[Any], tuple[str | None, str | None, str | None]]] = {
    "capture": (["bought"], (WRITES, None, None)),
    "identify": ([], (WRITES, None, None)),
    "set": ([{"plan": "pro"}], (WRITES, None, None)),
    "set_once": ([{"plan": "pro"}], (WRITES, None, None)),
    "unset": ([["plan"]], (WRITES, None, None)),
    "alias": (["anon-1"], (WRITES, None, None)),
    "group_identify": (["company", "acme"], (WRITES, None, None)),
    "capture_exception": ([], (None, None, None)),
    "get_feature_flag": (["match"], (None, None, None)),
    "is_feature_enabled": (["match"], (None, None, None)),
    "get_feature_flag_payload": (["match"], (None, None, None)),
    "get_feature_flag_result": (["match"], (None, None, None)),
    "get_all_flags": ([], (None, None, None)),
    "get_all_flags_and_payloads": ([], (None, None, None)),
    "evaluate_flag": (["match"], (ASKS, ASKS, None)),
    "evaluate_flag_payload": (["match"], (ASKS, ASKS, None)),
    "evaluate_all_flags": ([], (ASKS, ASKS, None)),
    "get_remote_config_payload": (["match"], (ASKS, ASKS, None)),
    "reload_feature_flags": ([], (RELOADS, RELOADS, None)),
    "status": ([], (None, None, None)),
}

#: Calls that take no distinct id.
OF_NOBODY = ("status", "reload_feature_flags", "get_remote_config_payload")

DEFINITIONS = {
    "flags": [
        {
            "id": 7,
            "key": "match",
            "version": 3,
            "active": True,
            "filters": {
                "groups": [{"properties": []}],
                "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]},
                "payloads": {"a": "[1, 2]"},
            },
        },
        {"key": "off", "active": False, "filters": {"groups": []}},
        {
            "key": "no_verdict",
            "active": True,
            "filters": {"groups": [{"properties": [{"key": "plan", "value": "pro"}]}]},
        },
    ]
}

#: State → what is asked for, and the warning that the log gets, if any.
STATES: dict[str, tuple[str, str | None]] = {
    "match": ("match", None),
    "off": ("off", None),
    "unknown": (
        "unknown",
        "posthog: there is no flag 'unknown'. It gives the default until it is created.",
    ),
    "no_verdict": (
        "no_verdict",
        "posthog: flag 'no_verdict' has no verdict here: property 'plan' was not passed. It gives "
        "the default. Why that is, and what helps: docs/posthog/limitations.md.",
    ),
    "not_loaded": (
        "match",
        "posthog: flag definitions are not loaded yet, so flag 'match' gives the default.",
    ),
    "no_key": (
        "match",
        "posthog: flag 'match' gives the default: no flag definitions can be loaded. Set "
        "POSTHOG_PERSONAL_API_KEY to a phs_ or phx_ key, or call evaluate_flag from an action.",
    ),
}
TITLES = {
    "match": "match, variant `a`",
    "off": "off",
    "unknown": "no such flag",
    "no_verdict": "no verdict",
    "not_loaded": "not loaded yet",
    "no_key": "no key",
}
DEFAULT = "default"
OUT = "left out"

#: Method → its answer in each state, in the order of `STATES`.
ANSWERS: dict[str, tuple[Any, ...]] = {
    "get_feature_flag": ("a", False, DEFAULT, DEFAULT, DEFAULT, DEFAULT),
    "is_feature_enabled": (True, False, DEFAULT, DEFAULT, DEFAULT, DEFAULT),
    "get_feature_flag_payload": ([1, 2], None, DEFAULT, DEFAULT, DEFAULT, DEFAULT),
    "get_feature_flag_result.value": ("a", False, None, None, None, None),
    "get_feature_flag_result.state": tuple(STATES),
    "get_all_flags": ("a", False, OUT, OUT, OUT, OUT),
    "get_all_flags, with default": ("a", False, DEFAULT, DEFAULT, DEFAULT, DEFAULT),
    "get_all_flags_and_payloads.flags": ("a", False, OUT, OUT, OUT, OUT),
    "get_all_flags_and_payloads.payloads": ([1, 2], OUT, OUT, OUT, OUT, OUT),
}

#: What PostHog does when it is asked → its answer, and the warning that the log gets.
REMOTE: dict[str, tuple[Response | None, str | None]] = {
    "match, variant `a`": (
        Response(
            200,
            {},
            b'{"flags":{"match":{"enabled":true,"variant":"a","metadata":{"payload":"[1, 2]"}}}}',
        ),
        None,
    ),
    "off": (Response(200, {}, b'{"flags":{"match":{"enabled":false}}}'), None),
    "no active flag": (
        Response(200, {}, b'{"flags":{}}'),
        "posthog.{method}: PostHog has no active flag 'match'.",
    ),
    "PostHog could not evaluate": (
        Response(200, {}, b'{"flags":{"match":{"enabled":false,"failed":true}}}'),
        "posthog.{method}: PostHog could not evaluate 'match'.",
    ),
    "quota used up": (
        Response(200, {}, b'{"flags":{},"quotaLimited":["feature_flags"]}'),
        "posthog.{method} got no flags: PostHog's quota for flag requests is used up: raise the "
        "limit in billing. The default stands in.",
    ),
    "not reached": (
        None,
        "posthog.{method} got no flags: PostHog could not be reached: no answer within 3 s. The "
        "default stands in.",
    ),
}
REMOTE_ANSWERS: dict[str, tuple[Any, ...]] = {
    "evaluate_flag": ("a", False, DEFAULT, DEFAULT, DEFAULT, DEFAULT),
    "evaluate_flag_payload": ([1, 2], None, DEFAULT, DEFAULT, DEFAULT, DEFAULT),
    "evaluate_all_flags.flags": ("a", False, OUT, OUT, OUT, OUT),
    "evaluate_all_flags.payloads": ([1, 2], OUT, OUT, OUT, OUT, OUT),
}

ENV = {"POSTHOG_PROJECT_TOKEN": "phc_x", "POSTHOG_HOST": "http://127.0.0.1:1"}
KEY = {"POSTHOG_PERSONAL_API_KEY": "phx_x"}


async def load(t: Any) -> None:
    arguments = {"definitions": json.dumps(DEFINITIONS), "etag": "e", "fetchedAt": 1.0}
    await t.component("posthog").mutation("flags:store", arguments)


async def call(t: Any, kind: str, method: str, *arguments: Any, **options: Any) -> Any:
    ask = {"method": method, "arguments": list(arguments), "options": options}
    return await getattr(t, kind)(f"shop:in_{kind}", ask)


async def answered(request: Request, *, deadline_s: float) -> Response:
    if request.url.startswith("http://127.0.0.1:1/api/projects/@current/feature_flags/match/"):
        return Response(200, {}, b'"{}"')
    assert request.url.startswith("http://127.0.0.1:1/flags/")
    if "definitions" in request.url:
        return Response(304, {}, b"")
    return Response(200, {}, b'{"flags":{"match":{"enabled":true}}}')


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_where_a_call_works(
    functions: Path, monkeypatch: pytest.MonkeyPatch, method: str, kind: str
) -> None:
    monkeypatch.setattr("posthog_convex.component.functions.remote.send", answered)
    monkeypatch.setattr("posthog_convex.client.remote_calls.send", answered)
    arguments, errors = METHODS[method]
    error = errors[KINDS.index(kind)]
    options = {} if method in OF_NOBODY else {"distinct_id": "u"}

    async def scenario() -> None:
        async with convex_test(functions, env={**ENV, **KEY}) as t:
            await load(t)
            if error is None:
                await call(t, kind, method, *arguments, **options)
                return
            with pytest.raises(FunctionFailed) as caught:
                await call(t, kind, method, *arguments, **options)
            text = error.format(method=method, kind=kind, function=f"shop:in_{kind}")
            assert str(caught.value.__cause__) == text
            assert t.queue("events", component="posthog") == []

    asyncio.run(scenario())


def test_all_that_works_in_actions_works_in_http_actions(
    deployed_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthog_convex.component.functions.remote.send", answered)
    monkeypatch.setattr("posthog_convex.client.remote_calls.send", answered)

    async def scenario(app: Any) -> None:
        await app.set_env(**KEY, POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS="3600")
        await app.store(DEFINITIONS)
        for method, (arguments, errors) in METHODS.items():
            assert errors[KINDS.index("action")] is None, method
            options = {} if method in OF_NOBODY else {"distinct_id": "u"}
            found = await app.http_call(method, *arguments, **options)
            if method == "get_feature_flag":
                assert found == "a"
        assert [event["event"] for event in app.events()] == [
            "bought", "$identify", "$set", "$set_once", "$set", "$create_alias", "$groupidentify",
        ]  # fmt: skip

    deployed_here(scenario)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("row", ANSWERS)
def test_what_a_local_flag_answers(functions: Path, row: str, state: str) -> None:
    expected = ANSWERS[row][list(STATES).index(state)]
    key, warning = STATES[state]

    async def scenario() -> None:
        env = ENV if state == "no_key" else {**ENV, **KEY}
        async with convex_test(functions, env=env) as t:
            if state not in ("not_loaded", "no_key"):
                await load(t)
            assert await read(t, row, key) == expected
            said = [line.partition("'")[2].rstrip("'").replace("\\'", "'") for line in t.log_lines]
            if warning is None:
                assert said == []
            elif row.startswith("get_all") and state in ("not_loaded", "no_key"):
                assert said == [warning.replace(f"flag {key!r} gives", "flags give")]
            else:
                assert said == [warning]

    asyncio.run(scenario())


async def read(t: Any, row: str, key: str) -> Any:
    """One cell: the flag's part of the answer, `OUT` when it is in none."""
    name, _, part = row.partition(".")
    method, _, with_default = name.partition(", ")
    if method.startswith(("get_all", "evaluate_all")):
        options: dict[str, Any] = {"distinct_id": "u", "flag_keys": [key]}
        if with_default:
            options["default"] = DEFAULT
        kind = "action" if method.startswith("evaluate") else "query"
        found = await call(t, kind, method, **options)
        return (found[part] if part else found).get(key, OUT)
    options = {"distinct_id": "u"} if part else {"distinct_id": "u", "default": DEFAULT}
    kind = "action" if method.startswith("evaluate") else "query"
    found = await call(t, kind, method, key, **options)
    return found[part] if part else found


@pytest.mark.parametrize("case", REMOTE)
@pytest.mark.parametrize("row", REMOTE_ANSWERS)
def test_what_a_remote_flag_answers(
    functions: Path, monkeypatch: pytest.MonkeyPatch, row: str, case: str
) -> None:
    response, warning = REMOTE[case]
    expected = REMOTE_ANSWERS[row][list(REMOTE).index(case)]

    async def send(request: Request, *, deadline_s: float) -> Response:
        assert json.loads(request.body)["flag_keys_to_evaluate"] == ["match"]
        if response is None:
            raise Unreachable(f"no answer within {deadline_s:g} s")
        return response

    async def no_sleep(seconds: float) -> None:
        assert seconds == 0.3

    monkeypatch.setattr("posthog_convex.client.remote_calls.send", send)
    monkeypatch.setattr("posthog_convex.client.remote_calls.sleep", no_sleep)

    async def scenario() -> None:
        async with convex_test(functions, env=ENV) as t:
            assert await read(t, row, "match") == expected
            (line,) = t.log_lines or [None]
            if warning is None:
                assert line is None
            else:
                assert warning.format(method=row.partition(".")[0]) in line.replace("\\'", "'")

    asyncio.run(scenario())


def test_every_public_call_has_its_row() -> None:
    from posthog_convex import PostHog

    assert {name for name in dir(PostHog) if not name.startswith("_")} == set(METHODS)


def test_the_page_says_what_is_tested() -> None:
    assert PAGE.read_text() == page(), "python packages/posthog-convex/tests/client/test_tables.py"


def page() -> str:
    return "\n".join(
        [
            "# What each call does where",
            "",
            "Written from the data of `packages/posthog-convex/tests/client/test_tables.py`, which",
            "tests every cell.",
            "",
            *_methods(),
            *_answers("What a local flag answers", _INTRO_LOCAL, list(TITLES.values()), ANSWERS),
            "The log gets, once a version of the flag in each process:",
            "",
            *(f"- {TITLES[s]}: {text}" for s, (_, text) in STATES.items() if text),
            "",
            *_answers("What a remote flag answers", _INTRO_REMOTE, list(REMOTE), REMOTE_ANSWERS),
            "The log gets:",
            "",
            *(
                f"- {case}: {text.format(method='evaluate_flag')}"
                for case, (_, text) in REMOTE.items()
                if text
            ),
            "",
        ]
    )


_INTRO_LOCAL = (
    "`default` is the argument of that name, None if left out; with None for a default, ask for "
    "the result to tell its states apart. The calls for many flags are shown for the one flag."
)
_INTRO_REMOTE = "These never raise for what PostHog or the network does."


def _methods() -> Iterator[str]:
    yield from ("## Where a call works", "", "`yes`, or the number of the error below.", "")
    yield from ("| call | query | mutation | action | HTTP action |", "|---|---|---|---|---|")
    texts = [WRITES, ASKS, RELOADS]
    for method, (_, errors) in METHODS.items():
        cells = ["yes" if e is None else f"error {texts.index(e) + 1}" for e in errors]
        cells.append(cells[-1])  # an HTTP action is an action
        yield f"| `{method}` | {' | '.join(cells)} |"
    yield ""
    examples = (("capture", "query"), ("evaluate_flag", "mutation"))
    shown = [*examples, ("reload_feature_flags", "mutation")]
    for number, (text, (method, kind)) in enumerate(zip(texts, shown, strict=True), 1):
        example = text.format(method=method, kind=kind, function="pricing:discount")
        yield f"{number}. `{example}`"
    yield ""


def _answers(
    title: str, intro: str, columns: list[str], rows: dict[str, tuple[Any, ...]]
) -> Iterator[str]:
    yield from (f"## {title}", "", intro, "")
    yield f"| call | {' | '.join(columns)} |"
    yield f"|{'---|' * (len(columns) + 1)}"
    for name, cells in rows.items():
        shown = (c if c in (DEFAULT, OUT) and c is not None else f"`{c!r}`" for c in cells)
        call, comma, more = name.partition(",")
        yield f"| `{call}`{comma}{more} | {' | '.join(map(str, shown))} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
