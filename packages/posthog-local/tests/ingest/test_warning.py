"""Whatever is dropped, rewritten or refused is said, with its reason and what came."""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import posthog_local
from posthog_local.ingest.warning import MAX_PAYLOAD_CHARACTERS, REASONS, body_text, payload_text
from posthog_local.persons.people import MergeOutcome
from posthog_local.testing import PostHogLocal


def post(local: PostHogLocal, body: bytes, path: str = "/batch/", **headers: str) -> int:
    try:
        with urlopen(Request(local.url + path, body, headers)) as response:
            return int(response.status)
    except HTTPError as error:
        with error:
            return int(error.code)


def capture(local: PostHogLocal, **event: Any) -> None:
    sound = {"api_key": "phc_a", "event": "e", "distinct_id": "u"}
    assert post(local, json.dumps({**sound, **event}).encode(), "/i/v0/e/") == 200


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"timestamp": "2999-01-01T00:00:00Z"}, "event_timestamp_in_future"),
        ({"timestamp": "yesterday"}, "ignored_invalid_timestamp"),
        ({"distinct_id": "x" * 201}, "distinct_id_truncated"),
        ({"event": "$performance_event"}, "performance_event_dropped"),
        ({"$set": "text"}, "invalid_person_properties"),
        ({"event": "$create_alias"}, "alias_missing"),
        ({"event": "$groupidentify", "properties": {"$group_type": "c"}}, "group_key_missing"),
        ({"properties": {"long": "x" * 1_000_001}}, "message_size_too_large"),
        (
            {"$set": {"a": 1}, "properties": {"$process_person_profile": False}},
            "person_properties_of_personless_event",
        ),
        (
            {"event": "$identify", "properties": {"$anon_distinct_id": "null"}},
            "cannot_merge_with_illegal_distinct_id",
        ),
    ],
)
def test_one_event_one_warning(local: PostHogLocal, event: dict[str, Any], kind: str) -> None:
    capture(local, **event)
    [warning] = local.warnings()
    assert warning["kind"] == kind
    assert warning["reason"] == REASONS[kind]
    assert warning["payload"]


def test_a_sixth_group_type_is_named(local: PostHogLocal) -> None:
    capture(local, properties={"$groups": {f"type{n}": "k" for n in range(6)}})
    [warning] = local.warnings()
    assert warning["details"] == {"group_types": ["type5"]}


def test_a_refused_request_leaves_its_status_reason_and_body(local: PostHogLocal) -> None:
    body = gzip.compress(b'{"api_key": "phx_mine", "event": "e", "distinct_id": "u"}')
    assert post(local, body) == 401
    [warning] = local.warnings()
    assert warning["kind"] == "request_refused"
    assert warning["details"]["status"] == 401
    assert warning["details"]["path"] == "/batch/"
    assert "personal API key" in warning["details"]["reason"]
    assert json.loads(warning["payload"])["event"] == "e"


def test_a_refused_key_is_noted_but_never_shown(local: PostHogLocal) -> None:
    headers = {"Authorization": "Bearer phx_secret_of_mine"}
    with pytest.raises(HTTPError) as error:
        urlopen(Request(local.url + "/flags/definitions?token=phc_a", headers=headers))
    error.value.close()
    [warning] = local.warnings()
    assert warning["details"]["status"] == 401
    assert warning["details"]["reason"].startswith("The API key")
    assert "phx_secret_of_mine" not in json.dumps(warning)


def test_what_was_taken_as_it_was_sent_leaves_no_warning(local: PostHogLocal) -> None:
    capture(local, timestamp="2026-01-01T00:00:00Z", distinct_id="x" * 200)
    assert local.warnings() == []


def test_payloads_are_bounded() -> None:
    assert len(payload_text("x" * 100_000)) == MAX_PAYLOAD_CHARACTERS
    assert len(body_text(gzip.compress(b" " * 100_000))) == MAX_PAYLOAD_CHARACTERS
    assert body_text(b"\x1f\x8b\x08damaged") == "10 bytes of damaged gzip"


def test_every_kind_has_its_reason() -> None:
    """Kinds are text in calls: `kind="…"`, `_warning("…")`, `_note("…")`; and merges' outcomes."""
    package = Path(posthog_local.__file__).parent
    kinds = {one.value for one in MergeOutcome} - {"same_id", "merged"}
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("IngestionWarning", "Note"):
                found = [one.value for one in node.keywords if one.arg == "kind"]
            elif node.func.id in ("_warning", "_note"):
                found = list(node.args[:1])
            else:
                continue
            kinds |= {one.value for one in found if isinstance(one, ast.Constant)}
    assert len(kinds) > 10
    assert kinds - REASONS.keys() == set()
