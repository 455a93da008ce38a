"""Every test here runs once for each deployment, and where it says so for each official client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

HERE = Path(__file__).parent
MEMORY_DEPLOYMENT = HERE.parents[1] / "packages" / "pyconvex" / "tests" / "sync"
sys.path[:0] = [str(HERE), str(MEMORY_DEPLOYMENT)]

from driving import DRIVERS, Client, install_npm_packages, new_client  # noqa: E402
from serving import SERVERS, Line, Served, in_thread  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _npm_packages() -> None:
    install_npm_packages()


@pytest.fixture(scope="session", params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with in_thread(SERVERS[request.param]) as served:
        yield served


@pytest.fixture
def line(served: Served) -> Iterator[Line]:
    with in_thread(lambda: Line(served)) as line:
        yield line


@pytest.fixture(scope="session")
def driver() -> Iterator[Callable[[str], Client]]:
    """Starts each official client's process once, when it is first asked for."""
    running: dict[str, Client] = {}

    def driver(name: str) -> Client:
        if name in running and running[name].stuck:
            running.pop(name).close()
        if name not in running:
            running[name] = new_client(name)
        return running[name]

    yield driver
    for client in running.values():
        client.close()


@pytest.fixture(params=DRIVERS)
def client(request: pytest.FixtureRequest, driver: Callable[[str], Client], line: Line) -> Client:
    """Every official client, by turns."""
    client = driver(request.param)
    client.open(line.url)
    return client


@pytest.fixture(params=[name for name in DRIVERS if name.startswith("npm")])
def npm(request: pytest.FixtureRequest, driver: Callable[[str], Client], line: Line) -> Client:
    """The npm clients, by turns."""
    client = driver(request.param)
    client.open(line.url)
    return client


@pytest.fixture
def name() -> str:
    """A room or counter that no other test uses."""
    return uuid4().hex
