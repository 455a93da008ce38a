"""Export and import: everything comes back as it was, or nothing at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from posthog_local.testing import ControlError, PostHogLocal, running

_COMMAND = [sys.executable, "-m", "posthog_local"]


def post(local: PostHogLocal, path: str, body: object) -> None:
    urlopen(local.url + path, json.dumps(body).encode()).close()


def fill(local: PostHogLocal) -> None:
    frame = {"type": "E", "value": 'é\u2028 "quoted" \\ 🦔'}
    for event in (
        {"event": "seen", "distinct_id": "anon", "properties": {"n": 1.5, "deep": {"a": [None]}}},
        {"event": "$identify", "distinct_id": "ada",
         "properties": {"$anon_distinct_id": "anon", "$set": {"plan": "pro"}}},
        {"event": "$exception", "distinct_id": "ada", "properties": {"$exception_list": [frame]}},
        {"event": "$groupidentify", "distinct_id": "ada", "properties": {
            "$group_type": "company", "$group_key": "acme", "$group_set": {"size": 3}}},
        {"event": "$identify", "distinct_id": "ada", "properties": {"$anon_distinct_id": "null"}},
    ):  # fmt: skip
        post(local, "/e/", {"api_key": "phc_a", **event})
    meta = {"type": 4, "timestamp": 1000, "data": {"href": "http://a"}}
    recorded: dict[str, object] = {"distinct_id": "ada", "$session_id": "s1", "token": "phc_a"}
    recorded["$snapshot_data"] = [meta]
    post(local, "/s/", {"api_key": "phc_a", "event": "$snapshot", "properties": recorded})
    log = {"body": {"stringValue": "line"}, "severityNumber": 9}
    post(local, "/v1/logs?token=phc_a", {"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]})
    local.set_flag("beta", variants={"a": 100}, payloads={"a": {"hex": "#f00"}})


def everything(local: PostHogLocal) -> list[object]:
    paths = ("events", "timeline?distinct_id=anon", "persons", "logs", "issues", "recordings")
    paths += ("recordings/s1", "warnings", "flags")
    return [local.request("GET", f"/_local/{path}") for path in paths]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_project_moves_to_another_server(local: PostHogLocal, tmp_path: Path) -> None:
    fill(local)
    file = tmp_path / "dump.jsonl"
    assert run("export", str(file), "--url", local.url).returncode == 0
    lines = [json.loads(line) for line in file.read_text().split("\n")[:-1]]
    assert lines[0]["kind"] == "posthog-local dump"
    [seen] = [one["row"] for one in lines[1:] if one["row"].get("event") == "seen"
              and one["table"] == "events"]  # fmt: skip
    assert seen["properties"]["deep"] == {"a": [None]}
    assert run("export", "--url", local.url).stdout == file.read_text()
    with running() as other:
        said = run("import", str(file), "--url", other.url)
        assert said.stdout == f"{len(lines) - 1} rows.\n"
        assert everything(other) == everything(local)
        last = local.events()[-1]["seq"]
        post(other, "/e/", {"api_key": "phc_a", "event": "later", "distinct_id": "ada"})
        assert other.wait_for_event("later", distinct_id="anon")["seq"] == last + 1
        again = run("import", str(file), "--url", other.url)
        assert again.returncode == 2
        assert "is not empty" in again.stderr


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"", "0 rows"),
        (b"{}", "line 1"),
        (b'{"kind":"other","format":1}', "no dump of posthog-local"),
        (b'{"kind":"posthog-local dump","format":999}', "format 999"),
        (b'HEAD\n{"table":"sqlite_schema","row":{"sql":""}}', "line 2"),
        (b'HEAD\n{"table":"events","row":{"event; DROP":""}}', "line 2"),
        (b'HEAD\n{"table":"flags","row":{"id":1}}', "NOT NULL"),
        (b'HEAD\nGOOD\n{"table":"cohorts","row":{"id":[]}}', "line 3"),
        (b'HEAD\nGOOD\n{"table":"cohorts","row":', "line 3"),
    ],
)
def test_what_is_no_dump_changes_nothing(
    local: PostHogLocal, tmp_path: Path, lines: bytes, said: str
) -> None:
    head = b'{"kind":"posthog-local dump","format":1}'
    good = b'{"table":"cohorts","row":{"id":1,"definition":{}}}'
    file = tmp_path / "dump.jsonl"
    file.write_bytes(lines.replace(b"HEAD", head).replace(b"GOOD", good))
    done = run("import", str(file), "--url", local.url)
    assert said in done.stdout + done.stderr
    assert local.request("GET", "/_local/flags")["cohorts"] == {}


def test_the_control_api_refuses_with_a_sentence(local: PostHogLocal) -> None:
    with pytest.raises(ControlError, match=r"400.*line 1"):
        local.request("POST", "/_local/import", {})
