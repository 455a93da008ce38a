"""Bad input: a sentence that says what happened, what was kept, what to do; and never the key."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from fake_convex import KEY, FakeConvex
from test_modes import ask, sync
from warehouse_worlds import assert_true

from posthog_convex.cli import main
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source import pager, retry
from posthog_convex.warehouse.source.deployment import Deployment, HttpSource
from posthog_convex.warehouse.source.retry import Answer
from posthog_convex.warehouse.source.steps import Request

USERS = ("", "users")


@contextmanager
def served(fake: FakeConvex, *, cut_after: int | None = None) -> Iterator[str]:
    """The fake on a socket; `cut_after` ends a connection in the middle of that answer."""
    answered = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            nonlocal answered
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) or None
            if self.headers["authorization"] != f"Convex {KEY}":
                answer = Answer(403, b'{"code": "BadDeployKey", "message": "no"}')
            else:
                answer = fake.ask(Request(self.command, self.path, body))
            answered += 1
            self.send_response(answer.status)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            if cut_after is not None and answered > cut_after:
                self.wfile.write(answer.body[: len(answer.body) // 2])
                self.close_connection = True
                return
            self.wfile.write(answer.body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def command(folder: Path, *arguments: str, key: str = KEY) -> tuple[int, str]:
    """A command of `posthog-convex sync`, as somebody types it: exit status, and all it says."""
    config = ["--config", str(folder / "sync.toml")]
    result = CliRunner(env={"CONVEX_DEPLOY_KEY": key}).invoke(
        main, ["sync", arguments[0], *config, *arguments[1:]], catch_exceptions=False
    )
    assert KEY not in result.output
    return result.exit_code, result.output


def init(folder: Path, url: str, key: str = KEY, to: str = "duckdb") -> tuple[int, str]:
    where = "w.duckdb" if to == "duckdb" else "w"
    given = ["--url", url, "--key-env", "CONVEX_DEPLOY_KEY", "--to", to, "--path", where]
    return command(folder, "init", *given, key=key)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.0)


def test_from_init_to_status(tmp_path: Path) -> None:
    fake = FakeConvex()
    fake.commit((USERS, None, {"n": 1}), (("mail", "sent"), None, {}))
    with served(fake) as url:
        status, said = init(tmp_path, url)
        assert (status, "Tables: users, mail/sent." in said) == (0, True), said
        assert KEY not in (tmp_path / "sync.toml").read_text()
        status, said = command(tmp_path, "run")
        assert (status, "2 tables, 2 rows read so far, up to date" in said) == (0, True), said
        status, said = command(tmp_path, "status")
    assert status == 0
    assert "up to date at the last look" in said
    assert "lag           none at the last look" in said, "however long ago the last commit was"
    assert "1  mail__sent" in said
    assert ask(tmp_path / "w.duckdb", "SELECT n FROM users") == [(1,)]
    assert KEY.encode() not in (tmp_path / "w.duckdb").read_bytes()


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ((403, "StreamingExportNotEnabled"), "plan has no streaming export"),
        ((403, "OperationNotPermitted"), "The key may not read this deployment's tables"),
        ((403, "SomethingNew"), "refused the key (SomethingNew: said SomethingNew)"),
        ((400, "InvalidAdminKey"), "What is given as the key is none"),
        ((400, "SomethingNew."), "said SomethingNew. Nothing was written. Mend what it says"),
        ((400, "InvalidDataSyncSelection"), "does not take this choice of tables"),
        ((302, ""), "The address leads elsewhere"),
        ((404, ""), "is no Convex deployment"),
    ],
)
def test_refusals_are_sentences(tmp_path: Path, refusal: tuple[int, str], sentence: str) -> None:
    fake = FakeConvex()
    fake.refusal = refusal
    if not refusal[1]:
        fake.faults = [Answer(refusal[0], b"<html>")] * 9
    with served(fake) as url:
        status, said = init(tmp_path, url)
    assert status == 1
    assert sentence in said
    assert "Nothing was written." in said
    assert not (tmp_path / "sync.toml").exists()


def test_a_wrong_key_and_none(tmp_path: Path) -> None:
    with served(FakeConvex()) as url:
        assert "does not know this key" in init(tmp_path, url, key="wrong-key")[1]
        assert "holds no key" in init(tmp_path, url, key="")[1]
        assert "no key has" in init(tmp_path, url, key="schl\u00fcssel\n")[1]


@pytest.mark.usefixtures("quick")
def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    status, said = init(tmp_path, f"http://127.0.0.1:{port}")
    assert status == 1
    assert f"does not answer (http://127.0.0.1:{port}: " in said


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:3210",
        "http://",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://a/?b",
        "ftp://a",
    ],
)
def test_what_is_no_address(tmp_path: Path, url: str) -> None:
    status, said = init(tmp_path, url)
    assert status == 1
    assert "It begins with http:// or https://" in said


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answered", [200, 401, 403, 407])
def test_a_proxy_that_answers_with_a_page(tmp_path: Path, answered: int) -> None:
    fake = FakeConvex()
    fake.faults = [Answer(answered, b"<html><h1>Log in</h1></html>")] * 20
    with served(fake) as url:
        status, said = init(tmp_path, url)
    assert status == 1
    assert "something between here" in said
    assert "such as a proxy" in said
    assert "key" not in said


def test_tls_that_does_not_come_about(tmp_path: Path) -> None:
    with served(FakeConvex()) as url:
        assert "Give the address with http://" in init(tmp_path, url.replace("http", "https"))[1]
    with pytest.raises(SyncRefused, match=r"No certificates can be read from `ca_file`, none\.pem"):
        HttpSource(Deployment(url="https://127.0.0.1:9", key=KEY, ca_file="none.pem"))


@pytest.mark.usefixtures("quick")
def test_a_host_that_goes_half_way(tmp_path: Path) -> None:
    fake = FakeConvex(page_rows=2)
    fake.commit(*((USERS, None, {"n": n}) for n in range(20)))
    with served(fake) as url:
        init(tmp_path, url)
    with served(fake, cut_after=3) as url:
        config = tmp_path / "sync.toml"
        config.write_text(config.read_text().replace(config.read_text().split('"')[1], url))
        status, said = command(tmp_path, "run")
    assert status == 1
    first, last = said.splitlines()
    assert "does not answer" in last
    assert first.startswith(f"posthog-convex sync: The deployment does not answer ({url}: ")
    assert first.endswith("It is asked again, 5 times at most.")
    assert "the next run goes on from the last page that was kept" in said
    progress = assert_true(fake, tmp_path / "w.duckdb")
    assert progress is not None
    assert progress.pages > 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"status": {"type": "done"}}', b'{"values": 1}', b"<html>", b"\xff"],
)
def test_a_corrupt_page_keeps_what_was_there(tmp_path: Path, body: bytes) -> None:
    fake, path = FakeConvex(), tmp_path / "w.duckdb"
    fake.commit((USERS, None, {"n": 1}))
    sync(fake, path)
    fake.commit((USERS, None, {"n": 2}))
    fake.faults = [Answer(200, b'{"byComponent": {"": [{"name": "users"}]}}'), Answer(200, body)]
    with pytest.raises(SyncRefused, match="cannot be read") as caught:
        sync(fake, path)
    assert caught.value.code == "corrupt_page"
    assert ask(path, "SELECT n FROM users") == [(1,)]
    sync(fake, path)
    assert ask(path, "SELECT n FROM users ORDER BY n") == [(1,), (2,)]


def test_passing_faults_are_asked_again(tmp_path: Path) -> None:
    fake, path = FakeConvex(), tmp_path / "w.duckdb"
    fake.commit((USERS, None, {"n": 1}))
    fake.faults = [
        Answer(503),
        Answer(0, reason="reset"),
        Answer(429, retry_after_s=3),
        Answer(530),
    ]
    sync(fake, path)
    assert_true(fake, path)


def test_a_bad_configuration(tmp_path: Path) -> None:
    assert "There is no" in command(tmp_path, "run")[1]
    (tmp_path / "sync.toml").write_text("[deployment]\nurl = 1\n")
    status, said = command(tmp_path, "run")
    assert (status, "cannot be used" in said) == (1, True)
    (tmp_path / "sync.toml").write_text(
        '[deployment]\nurl = "http://x"\nkey = "k"\n[destination]\nkind = "duckdb"\npath = "x"\n'
    )
    assert "unknown field `key`" in command(tmp_path, "run")[1]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('[tables]\nexclude_columns = ["ssn"]', "'ssn' of `exclude_columns` is no column"),
        ("[watch]\npoll_interval_s = -1", "$.watch.poll_interval_s"),
    ],
)
def test_a_value_that_would_do_what_nobody_meant(tmp_path: Path, more: str, sentence: str) -> None:
    (tmp_path / "sync.toml").write_text(
        '[deployment]\nurl = "http://x"\n[destination]\nkind = "duckdb"\npath = "x"\n' + more
    )
    status, said = command(tmp_path, "watch")
    assert (status, sentence in said) == (1, True), said


def test_status_tells_of_tables_that_are_named_and_nowhere(tmp_path: Path) -> None:
    fake = FakeConvex()
    fake.commit((USERS, None, {"n": 1}))
    with served(fake) as url:
        init(tmp_path, url)
        config = tmp_path / "sync.toml"
        config.write_text(config.read_text() + '\n[tables]\ninclude = ["users", "user"]\n')
        command(tmp_path, "run")
    said = command(tmp_path, "status")[1]
    assert "`include` names user, and the deployment has shown no such table yet" in said
    assert "`include` names users," not in said


def test_no_key_in_what_a_deployment_shows_of_itself() -> None:
    deployment = Deployment(url="https://x.convex.cloud/", key=KEY)
    assert KEY not in repr(deployment)
    source = HttpSource(Deployment(url="http://127.0.0.1:9", key=KEY))
    assert KEY not in json.dumps(source.ask(Request("GET", "/")).reason)
    source.close()


def test_pauses_grow_and_end() -> None:
    pauses = []
    for attempt in range(1, retry.ATTEMPTS):
        outcome = retry.verdict(Answer(503), attempt, 1.0)
        assert isinstance(outcome, retry.Again)
        pauses.append(outcome.pause_s)
    assert pauses == [0.5, 1, 2, 4, 8]
    assert isinstance(retry.verdict(Answer(503), retry.ATTEMPTS, 1.0), retry.Stop)
    assert pager.Api.LEGACY.beginning() != pager.Api.AUTO.beginning()


@pytest.mark.usefixtures("quick")
def test_status_counts_one_page_as_one(tmp_path: Path) -> None:
    fake = FakeConvex()
    fake.commit((USERS, None, {"n": 1}))
    with served(fake) as url:
        init(tmp_path, url)
        assert "0 tables, 0 rows read so far" in command(tmp_path, "run", "--max-pages", "1")[1]
        assert "0 revisions in 1 page\n" in command(tmp_path, "status")[1]
        assert "1 table, 1 row read so far" in command(tmp_path, "run")[1]
