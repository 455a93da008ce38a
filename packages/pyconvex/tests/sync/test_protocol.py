"""The protocol core: versions, order, coalescing, requests, identity, time."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from wire import (
    SESSION,
    UNIX_NS,
    Peer,
    RunAction,
    RunMutation,
    Verify,
    add,
    remove,
    result,
    ts,
    version,
)

from pyconvex.identity import ANONYMOUS, Admin, AuthenticationError, User, Verified
from pyconvex.runtime.calls import Failure, HostError, Settled, Success
from pyconvex.sync.protocol import MAX_QUEUED, Close, State

ANN = User(token_identifier="i|ann", issuer="i", subject="ann", attributes=b"{}")


def connected(**fields: Any) -> Peer:
    peer = Peer()
    peer.connect(**fields)
    return peer


def fatal(peer: Peer) -> str:
    (message,) = peer.frames()
    assert message["type"] == "FatalError"
    assert peer.closed == Close(1000)
    assert peer.protocol.state is State.CLOSED
    return str(message["error"])


# --- connecting


def test_nothing_is_due_after_connect_alone() -> None:
    peer = connected()
    assert peer.frames() == []
    assert not peer.protocol.due


@pytest.mark.parametrize(
    "frame",
    ["", "nonsense", "[]", "{}", '{"type":"Hello"}', '{"type":"Connect"}', b"\xff", '"x"'],
)
def test_what_is_no_message_is_fatal(frame: str | bytes) -> None:
    peer = Peer()
    peer.protocol.received(frame, peer.now)
    assert "not in the protocol" in fatal(peer)


def test_the_first_message_must_be_connect() -> None:
    peer = Peer()
    peer.modify()
    assert "Connect" in fatal(peer)


def test_connect_comes_once() -> None:
    peer = connected()
    peer.connect()
    assert "twice" in fatal(peer)


def test_a_session_is_a_uuid_with_or_without_hyphens() -> None:
    peer = connected(sessionId=SESSION.replace("-", "").upper())
    peer.mutate(3)
    assert peer.take(RunMutation).replay == (SESSION, 3)
    other = Peer()
    other.connect(sessionId="no-uuid")
    assert "UUID" in fatal(other)


def test_clock_skew_is_told_to_clients_that_tell_their_clock() -> None:
    peer = connected(clientTs=UNIX_NS / 1e6 - 250)
    peer.modify()
    assert peer.settle(5)["clientClockSkew"] == -250
    silent = connected(clientTs=0)
    silent.modify()
    transition = silent.settle(5)
    assert "clientClockSkew" not in transition
    assert transition["serverTs"] == UNIX_NS


# --- query sets


def test_every_change_is_answered_also_an_empty_one() -> None:
    peer = connected()
    peer.modify()
    transition = peer.settle(7)
    assert transition["startVersion"] == version(0, 0, 0)
    assert transition["endVersion"] == version(1, 0, 7)
    assert transition["modifications"] == []
    assert not peer.protocol.due


def test_the_clients_own_version_numbers_come_back() -> None:
    peer = connected()
    peer.say("ModifyQuerySet", baseVersion=0, newVersion=40, modifications=[])
    assert peer.settle(1)["endVersion"]["querySet"] == 40


@pytest.mark.parametrize(("base", "new"), [(1, 2), (0, 0)])
def test_versions_that_do_not_follow_are_fatal(base: int, new: int) -> None:
    peer = connected()
    peer.say("ModifyQuerySet", baseVersion=base, newVersion=new, modifications=[])
    assert fatal(peer)


def test_a_result_goes_out_as_it_is() -> None:
    peer = connected()
    peer.modify(add(4))
    transition = peer.settle(7, [result('{"n":1.0}', "[LOG] 'x'", journal="J")])
    assert transition["modifications"] == [
        {
            "type": "QueryUpdated",
            "queryId": 4,
            "value": {"n": 1.0},
            "logLines": ["[LOG] 'x'"],
            "journal": "J",
        }
    ]


def test_the_call_is_canonical_and_keeps_the_arguments_bytes() -> None:
    peer = connected()
    peer.protocol.received(
        '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add",'
        '"queryId":0,"udfPath":"a/b.js:f","args":[ {"x" : 1} ],"journal":"J"}]}',
        peer.now,
    )
    (opening,) = peer.round().opening
    assert (opening.call.path, opening.call.args) == ("a/b:f", b'{"x" : 1}')
    assert (opening.call.identity, opening.call.public_only) == (ANONYMOUS, True)
    assert opening.journal == "J"


def test_unchanged_results_are_not_sent_again() -> None:
    peer = connected()
    peer.modify(add(1), add(2))
    one, two = result("1.0"), result("2.0")
    peer.settle(1, [one, two])
    peer.protocol.stale()
    assert peer.settle(2, [result("1.0"), two])["modifications"] == []
    peer.protocol.stale()
    (only,) = peer.settle(3, [result("1.5"), two])["modifications"]
    assert (only["queryId"], only["value"]) == (1, 1.5)


def test_other_log_lines_make_a_result_new() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.settle(1, [result("1.0")])
    peer.protocol.stale()
    assert peer.settle(2, [result("1.0", "[LOG] 'now'")])["modifications"]


def test_a_failure_is_one_modification_and_the_query_lives_on() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.settle(1, [result("1.0")])
    peer.protocol.stale()
    failure = Failure("Uncaught ConvexError: no", b"null", ("[LOG] 'a'",))
    (failed,) = peer.settle(2, [msg(failure, "r1")])["modifications"]
    assert failed == {
        "type": "QueryFailed",
        "queryId": 1,
        "errorMessage": "[Request ID: r1] Server Error\nUncaught ConvexError: no\n",
        "logLines": ["[LOG] 'a'"],
        "journal": None,
        "errorData": None,
    }
    peer.protocol.stale()
    assert peer.settle(3, [msg(failure, "r2")])["modifications"] == []
    peer.protocol.stale()
    (back,) = peer.settle(4, [result("1.0")])["modifications"]
    assert back["type"] == "QueryUpdated"


def msg(failure: Failure, request_id: str) -> Any:
    from pyconvex.runtime.calls import QueryResult

    return QueryResult(failure, None, request_id)


def test_a_plain_failure_has_no_data() -> None:
    peer = connected()
    peer.modify(add(1))
    (failed,) = peer.settle(1, [msg(Failure("Uncaught ValueError: x"), "")])["modifications"]
    assert "errorData" not in failed
    assert failed["errorMessage"].startswith("[Request ID: id")


def test_redaction_hides_texts_and_log_lines_but_not_data() -> None:
    peer = Peer(redact=True)
    peer.connect()
    peer.modify(add(1))
    failure = Failure("Uncaught ConvexError: secret", b'"d"', ("[LOG] 'secret'",))
    (failed,) = peer.settle(1, [msg(failure, "r")])["modifications"]
    assert failed["errorMessage"] == "[Request ID: r] Server Error"
    assert (failed["logLines"], failed["errorData"]) == ([], "d")


def test_a_removal_is_acknowledged_once() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.settle(1, [result("1.0")])
    peer.modify(remove(1))
    plan = peer.round()
    assert (plan.settling, plan.closing) == ((), (1,))
    assert peer.finish(2)["modifications"] == [{"type": "QueryRemoved", "queryId": 1}]
    peer.modify()
    assert peer.settle(3)["modifications"] == []


def test_an_id_that_comes_back_in_one_batch_gets_its_result_only() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.settle(1, [result("1.0")])
    peer.modify(remove(1), add(1, "other:f"))
    (only,) = peer.settle(2, [result("1.0")])["modifications"]
    assert (only["type"], only["value"]) == ("QueryUpdated", 1.0)


def test_an_unknown_removal_and_a_taken_id_are_tolerated() -> None:
    peer = connected()
    peer.modify(remove(9), add(1, "a:f"), add(1, "b:f"))
    plan = peer.round()
    assert [opening.call.path for opening in plan.opening] == ["b:f"]
    modifications = peer.finish(1, [result("1.0")])["modifications"]
    assert [(m["type"], m["queryId"]) for m in modifications] == [
        ("QueryRemoved", 9),
        ("QueryUpdated", 1),
    ]


def test_what_changes_during_a_round_belongs_to_the_next() -> None:
    peer = connected()
    peer.modify(add(1), add(2))
    peer.round()
    peer.modify(remove(1), add(3))
    peer.modify(remove(2), add(2, "again:f"))
    transition = peer.finish(5, [result("1.0"), result("2.0")])
    assert transition["endVersion"] == version(1, 0, 5)
    assert transition["modifications"] == []
    plan = peer.round()
    assert [opening.call.path for opening in plan.opening] == ["q:f", "again:f"]
    transition = peer.finish(6, [result("3.0"), result("2.0")])
    assert transition["endVersion"] == version(3, 0, 6)
    assert sorted((m["type"], m["queryId"]) for m in transition["modifications"]) == [
        ("QueryRemoved", 1),
        ("QueryUpdated", 2),
        ("QueryUpdated", 3),
    ]


@pytest.mark.parametrize(
    ("path", "args", "told"),
    [("a b:f", [{}], "not a path"), ("q:f", [1], "one object"), ("q:f", "x", "must be an object")],
)
def test_a_query_that_can_not_be_asked_for_fails_alone(path: str, args: Any, told: str) -> None:
    peer = connected()
    bad = {"type": "Add", "queryId": 1, "udfPath": path, "args": args}
    peer.modify(bad, add(2))
    plan = peer.round()
    assert len(plan.settling) == 1
    modifications = peer.finish(1, [result("2.0")])["modifications"]
    failed = next(m for m in modifications if m["queryId"] == 1)
    assert told in failed["errorMessage"]
    peer.protocol.stale()
    assert peer.settle(2, [result("2.0")])["modifications"] == []
    peer.modify(remove(1))
    assert peer.settle(3, [result("2.0")])["modifications"] == [
        {"type": "QueryRemoved", "queryId": 1}
    ]


def test_only_one_round_is_in_flight_and_staleness_meanwhile_is_kept() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.round()
    peer.protocol.stale()
    assert not peer.protocol.due
    assert peer.protocol.begin(peer.now) is None
    peer.finish(1, [result("1.0")])
    assert peer.protocol.due


def test_a_slow_socket_gets_two_transitions_and_then_the_newest() -> None:
    peer = connected()
    peer.modify(add(1))
    for number in range(2):
        peer.round()
        peer.protocol.settled(Settled(number, [result(str(number))]), peer.now)
        peer.frames()
        peer.protocol.stale()
    assert not peer.protocol.due
    peer.protocol.transition_sent()
    assert peer.settle(9, [result("9")])["modifications"][0]["value"] == 9


def test_a_host_that_goes_back_in_time_is_refused() -> None:
    peer = connected()
    peer.modify()
    peer.settle(9)
    peer.modify()
    peer.round()
    with pytest.raises(RuntimeError, match="past"):
        peer.protocol.settled(Settled(8, []), peer.now)


# --- coming back


def test_a_client_that_comes_back_gets_everything_in_its_first_transition() -> None:
    peer = connected(connectionCount=2)
    peer.authenticate("User", value="t")
    peer.protocol.verified(Verified(ANN), peer.now)
    peer.take(Verify)
    assert not peer.protocol.due
    peer.modify(add(1), add(2))
    transition = peer.settle(7, [result("1.0"), result("2.0")])
    assert transition["endVersion"] == version(1, 1, 7)
    assert len(transition["modifications"]) == 2


def test_the_wait_for_queries_after_coming_back_ends() -> None:
    peer = connected(connectionCount=1)
    peer.authenticate("None")
    assert not peer.protocol.due
    assert peer.protocol.wake_at_s() == pytest.approx(100.1)
    peer.seconds += 0.2
    peer.protocol.tick(peer.now)
    assert peer.protocol.due
    assert peer.protocol.wake_at_s() == 115.0


# --- mutations and actions


def test_mutations_run_one_at_a_time_in_order() -> None:
    peer = connected()
    for number in range(3):
        peer.mutate(number, n=number)
    for number in range(3):
        run = peer.take(RunMutation)
        assert (run.replay.request_id, run.call.args) == (number, b'{"n": %d}' % number)
        assert peer.asked == []
        peer.protocol.mutation_finished(Success(b"null", (), 10 + number), peer.now)
        (response,) = [peer.frames()[0]]
        assert response["requestId"] == number


def test_a_response_then_a_transition_that_shows_the_commit() -> None:
    peer = connected()
    peer.mutate(0)
    run = peer.take(RunMutation)
    expected = hashlib.sha256(f"{SESSION}|0".encode()).hexdigest()[:16]
    assert run.call.request_id == expected
    peer.protocol.mutation_finished(Success(b"1.0", ("[LOG] 'x'",), 50), peer.now)
    assert peer.frames() == [
        {
            "type": "MutationResponse",
            "requestId": 0,
            "success": True,
            "result": 1.0,
            "ts": ts(50),
            "logLines": ["[LOG] 'x'"],
        }
    ]
    plan = peer.round()
    assert plan.not_before_ts == 50
    assert peer.finish(50)["endVersion"] == version(0, 0, 50)


def test_a_failed_mutation_is_followed_by_a_transition_too() -> None:
    peer = connected()
    peer.mutate(0)
    run = peer.take(RunMutation)
    peer.protocol.mutation_finished(Failure("Uncaught ConvexError: no", b'"no"'), peer.now)
    (response,) = peer.frames()
    head = f"[Request ID: {run.call.request_id}] Server Error\n"
    assert response == {
        "type": "MutationResponse",
        "requestId": 0,
        "success": False,
        "result": head + "Uncaught ConvexError: no\n",
        "ts": None,
        "logLines": [],
        "errorData": "no",
    }
    assert peer.settle(3)["modifications"] == []


def test_a_response_during_a_round_gets_its_own_transition() -> None:
    peer = connected()
    peer.modify()
    peer.mutate(0)
    peer.take(RunMutation)
    peer.round()
    peer.protocol.mutation_finished(Success(b"null", (), 50), peer.now)
    peer.frames()
    peer.finish(40)
    assert peer.settle(50)["endVersion"] == version(1, 0, 50)


def test_actions_run_together_and_answer_in_any_order() -> None:
    peer = connected()
    peer.act(1)
    peer.act(2)
    first, second = peer.take(RunAction), peer.take(RunAction)
    assert (first.request_id, second.request_id) == (1, 2)
    peer.protocol.action_finished(2, Success(b"2.0", (), 5), peer.now)
    peer.protocol.action_finished(1, Failure("no"), peer.now)
    two, one = peer.frames()
    assert two == {
        "type": "ActionResponse",
        "requestId": 2,
        "success": True,
        "result": 2.0,
        "logLines": [],
    }
    assert (one["requestId"], one["success"], "ts" in one) == (1, False, False)
    peer.settle(5)
    assert not peer.protocol.due


def test_a_request_that_can_not_be_run_fails_in_its_turn() -> None:
    peer = connected()
    peer.mutate(0)
    peer.mutate(1, "no path")
    peer.act(2, "no path")
    (action,) = peer.frames()
    assert (action["type"], action["success"]) == ("ActionResponse", False)
    peer.protocol.mutation_finished(Success(b"null", (), 1), peer.now)
    assert [f["requestId"] for f in peer.frames()] == [0, 1]


def test_requests_are_made_for_the_caller_of_the_moment() -> None:
    peer = connected()
    peer.mutate(0)
    peer.authenticate("Admin", value="k", impersonating={"issuer": "i"})
    peer.mutate(1)
    verify = peer.protocol.effects()[1]
    assert verify == Verify("Admin", "k", json.dumps({"issuer": "i"}).encode())
    peer.protocol.verified(Verified(Admin(ANN)), peer.now)
    peer.protocol.mutation_finished(Success(b"null", (), 1), peer.now)
    peer.frames()
    call = peer.take(RunMutation).call
    assert (call.identity, call.public_only) == (Admin(ANN), False)


def test_too_many_mutations_close_the_connection_for_a_retry() -> None:
    peer = connected()
    for number in range(MAX_QUEUED + 1):
        peer.mutate(number)
    peer.mutate(MAX_QUEUED + 1)
    peer.frames()
    assert peer.closed == Close(1013, "TooManyConcurrentMutations")


@pytest.mark.parametrize(
    ("error", "close"),
    [
        (HostError(503, "OptimisticConcurrencyControlFailure", "x"), 1013),
        (HostError(429, "TooManyConcurrentRequests", "x"), 1013),
        (HostError(500, "InternalServerError", "x"), 1011),
    ],
)
def test_a_host_that_can_not_closes_the_connection(error: HostError, close: int) -> None:
    peer = connected()
    peer.mutate(0)
    peer.mutate(1)
    peer.take(RunMutation)
    peer.protocol.host_failed(error)
    assert peer.frames() == []
    assert peer.closed == Close(close, error.code)
    peer.protocol.mutation_finished(Success(b"null", (), 1), peer.now)
    peer.protocol.action_finished(1, Success(b"null", (), 1), peer.now)
    peer.modify()
    assert (peer.frames(), peer.protocol.due) == ([], False)


# --- identity


def test_logging_in_is_one_transition_with_a_new_identity() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.settle(1, [result("null")])
    peer.authenticate("User", value="token")
    assert peer.take(Verify) == Verify("User", "token", None)
    assert not peer.protocol.due
    peer.protocol.verified(Verified(ANN), peer.now)
    plan = peer.round()
    assert plan.opening[0].call.identity == ANN
    assert plan.closing == (1,)
    transition = peer.finish(2, [result("null")])
    assert transition["endVersion"] == version(1, 1, 2)
    assert transition["modifications"] == []


def test_logging_out_needs_no_verification() -> None:
    peer = connected()
    peer.authenticate("None")
    assert peer.settle(1)["endVersion"] == version(0, 1, 1)


def test_a_journal_survives_a_change_of_identity() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.settle(1, [result("1.0", journal="J")])
    peer.authenticate("None")
    assert peer.round().opening[0].journal == "J"


def test_messages_behind_a_credential_wait_for_it() -> None:
    peer = connected()
    peer.authenticate("User", value="token")
    peer.modify(add(1))
    peer.act(0)
    peer.take(Verify)
    assert peer.asked == []
    peer.protocol.verified(Verified(ANN), peer.now)
    assert peer.take(RunAction).call.identity == ANN
    assert peer.settle(1, [result("1.0")])["endVersion"] == version(1, 1, 1)


def test_a_refused_credential_is_told_and_the_socket_closed() -> None:
    peer = connected()
    peer.authenticate("None")
    peer.settle(1)
    peer.authenticate("User", value="bad")
    peer.take(Verify)
    peer.protocol.refused(AuthenticationError(401, "NoAuthProvider", "No provider"), peer.now)
    assert peer.frames() == [
        {
            "type": "AuthError",
            "error": "No provider",
            "baseVersion": 1,
            "authUpdateAttempted": True,
        }
    ]
    assert peer.closed == Close(1000)


@pytest.mark.parametrize("wanted", ["round", "mutation", "action"])
def test_a_token_that_expired_ends_the_connection_when_it_is_needed(wanted: str) -> None:
    peer = connected()
    peer.authenticate("User", value="t")
    peer.protocol.verified(Verified(ANN, UNIX_NS / 1e9 + 60), peer.now)
    peer.take(Verify)
    peer.settle(1)
    peer.seconds += 61
    peer.protocol.tick(peer.now)
    assert [f["type"] for f in peer.frames()] == ["Ping"]
    if wanted == "round":
        peer.protocol.stale()
        assert peer.protocol.begin(peer.now) is None
    elif wanted == "mutation":
        peer.mutate(0)
    else:
        peer.act(0)
    (error,) = peer.frames()
    assert error["type"] == "AuthError"
    assert (error["baseVersion"], error["authUpdateAttempted"]) == (1, False)
    assert peer.closed == Close(1000)


@pytest.mark.parametrize("fields", [{"baseVersion": 1}, {"tokenType": "Robot"}])
def test_an_authenticate_that_makes_no_sense_is_fatal(fields: dict[str, Any]) -> None:
    peer = connected()
    peer.say("Authenticate", **{"baseVersion": 0, "tokenType": "None", **fields})
    assert fatal(peer)


def test_too_much_behind_a_credential_closes_the_connection() -> None:
    peer = connected()
    peer.authenticate("User", value="t")
    for _ in range(MAX_QUEUED + 1):
        peer.say("Event", eventType="x", event=None)
    peer.frames()
    assert peer.closed is not None
    assert peer.closed.code == 1013


# --- time


def test_a_ping_after_fifteen_silent_seconds() -> None:
    peer = connected()
    peer.seconds += 14.9
    peer.protocol.tick(peer.now)
    assert peer.frames() == []
    peer.modify()
    peer.settle(1)
    assert peer.protocol.wake_at_s() == pytest.approx(129.9)
    peer.seconds += 15
    peer.protocol.tick(peer.now)
    assert peer.frames() == [{"type": "Ping"}]


def test_events_are_read_and_forgotten() -> None:
    peer = connected()
    peer.say("Event", eventType="ClientConnect", event={"any": [1]})
    assert peer.frames() == []
    assert not peer.protocol.due


def test_a_client_that_has_gone_gets_nothing() -> None:
    peer = connected()
    peer.modify(add(1))
    peer.mutate(0)
    peer.take(RunMutation)
    peer.round()
    peer.protocol.closed()
    peer.protocol.settled(Settled(1, [result("1.0")]), peer.now)
    peer.protocol.mutation_finished(Success(b"null", (), 1), peer.now)
    peer.protocol.refused(AuthenticationError(401, "x", "x"), peer.now)
    peer.seconds += 99
    peer.protocol.tick(peer.now)
    assert peer.frames() == []


def test_a_mutation_tells_how_many_stood_in_line_before_it() -> None:
    peer = connected()
    lengths = []
    for number in range(3):
        peer.mutate(number, n=number)
    for number in range(3):
        lengths.append(peer.take(RunMutation).call.queue_length)
        peer.protocol.mutation_finished(Success(b"null", (), 10 + number), peer.now)
        peer.frames()
    assert lengths == [0, 1, 2]
