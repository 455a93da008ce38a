"""One PostHog Local for all SDK tests, empty at the start of each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nodes import install_npm_packages

from posthog_local.testing import PostHogLocal, running


@pytest.fixture(scope="session")
def _npm_packages() -> None:
    install_npm_packages()


@pytest.fixture(scope="session")
def _server() -> Iterator[PostHogLocal]:
    with running() as local:
        yield local


@pytest.fixture
def local(_server: PostHogLocal) -> PostHogLocal:
    _server.reset()
    return _server
