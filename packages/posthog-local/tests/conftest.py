"""A server for the tests of a module, empty at the start of each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from posthog_local.testing import PostHogLocal, running


@pytest.fixture(scope="module")
def _server() -> Iterator[PostHogLocal]:
    with running() as local:
        yield local


@pytest.fixture
def local(_server: PostHogLocal) -> PostHogLocal:
    _server.reset()
    return _server
