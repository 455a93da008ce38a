"""One deployment for all tests of the edges, and what its log says went wrong inside."""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [
    str(HERE),
    str(ROOT / "tests" / "clients"),
    str(ROOT / "packages" / "pyconvex" / "tests" / "sync"),
    str(ROOT / "packages" / "pyconvex" / "tests" / "auth"),
]

from edge_users import ISSUER  # noqa: E402
from issuing import key_set, public_jwk, rsa_key  # noqa: E402
from serving import Served, in_thread, pyconvex  # noqa: E402


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The functions of `app`, which trust one issuer whose keys they name."""
    functions = tmp_path_factory.mktemp("edges") / "app"
    shutil.copytree(HERE / "app", functions)
    keys = base64.b64encode(key_set(public_jwk(rsa_key("edges"), "one"))).decode()
    (functions / "auth_config.py").write_text(
        "from pyconvex import CustomJwtProvider\n"
        f"providers = [CustomJwtProvider(issuer={ISSUER!r}, algorithm='RS256',\n"
        f"    jwks='data:application/json;base64,{keys}', application_id='edges')]\n"
    )
    with in_thread(partial(pyconvex, functions)) as served:
        yield served


@pytest.fixture
def nothing_broke(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The server logged no error meanwhile: what it had no answer for is always logged."""
    yield
    broken = [record for record in caplog.records if record.exc_info]
    assert broken == [], [record.getMessage() for record in broken]
