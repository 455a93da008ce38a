"""Links work once and for a time; sessions are bounded in time and number."""

from __future__ import annotations

from visiting import Clock

from pyconvex.dashboard.sessions import (
    LINK_LIFE_S,
    MAX_LINKS,
    MAX_SESSIONS,
    SESSION_LIFE_S,
    Sessions,
)


def test_a_link_opens_one_session() -> None:
    sessions = Sessions()
    link = sessions.new_link()
    assert sessions.is_link(link)
    assert sessions.is_link(link)
    cookie = sessions.redeem(link)
    assert cookie is not None
    assert sessions.find(cookie) is not None
    assert not sessions.is_link(link)
    assert sessions.redeem(link) is None


def test_a_link_expires() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    link = sessions.new_link()
    clock.now_s += LINK_LIFE_S
    assert sessions.redeem(link) is None


def test_a_session_expires_and_can_be_closed() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first, second = sessions.open(), sessions.open()
    sessions.close(first)
    assert sessions.find(first) is None
    assert sessions.find(second) is not None
    clock.now_s += SESSION_LIFE_S
    assert sessions.find(second) is None


def test_the_oldest_go_when_there_are_too_many() -> None:
    sessions = Sessions()
    links = [sessions.new_link() for _ in range(MAX_LINKS + 1)]
    assert [sessions.is_link(link) for link in links].count(False) == 1
    assert not sessions.is_link(links[0])
    cookies = [sessions.open() for _ in range(MAX_SESSIONS + 1)]
    assert sessions.find(cookies[0]) is None
    assert all(sessions.find(cookie) for cookie in cookies[1:])


def test_what_is_no_token_finds_nothing() -> None:
    sessions = Sessions()
    cookie = sessions.open()
    form_token = sessions.find(cookie)
    assert form_token is not None
    for wrong in (
        "",
        cookie[:-1],
        form_token.form_token,
        "\ud83d".encode("utf-8", "replace").decode(),
    ):
        assert sessions.find(wrong) is None
        assert sessions.redeem(wrong) is None


def test_a_cookie_is_no_link() -> None:
    sessions = Sessions()
    assert sessions.redeem(sessions.open()) is None
    assert sessions.find(sessions.new_link()) is None
