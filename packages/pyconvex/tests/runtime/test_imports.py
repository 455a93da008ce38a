"""What is told of imports that nothing provides."""

from __future__ import annotations

import pytest

from pyconvex.runtime.app.imports import MissingImportsError, check_imports


def complaint(**modules: str) -> str:
    sources = {f"{name}.py": text for name, text in modules.items()}
    try:
        check_imports(sources, "/app")
    except MissingImportsError as error:
        return str(error)
    return ""


def test_all_are_told_at_once_with_what_to_install() -> None:
    assert complaint(
        pay="import json\nimport nothere_stripe, nothere_boto.session\n",
        pictures="from yaml_not_here import a\nfrom bs4 import BeautifulSoup\n",
    ).splitlines() == [
        "/app/pay.py:2: there is no module named 'nothere_stripe'.",
        "/app/pay.py:2: there is no module named 'nothere_boto'.",
        "/app/pictures.py:1: there is no module named 'yaml_not_here'.",
        "/app/pictures.py:2: there is no module named 'bs4'.",
        "Install what is missing where the server runs: pip install beautifulsoup4 nothere_boto "
        "nothere_stripe yaml_not_here",
    ]


def test_a_module_of_the_app_is_imported_relatively() -> None:
    text = complaint(users="import accounts_of_app", accounts_of_app="x = 1")
    assert "`from . import accounts_of_app`" in text
    assert "pip" not in text


@pytest.mark.parametrize(
    "text",
    [
        "import os, msgspec, pyconvex, importlib.metadata",
        "from . import other",
        "from .other import thing",
        "try:\n    import not_here_at_all\nexcept ImportError:\n    x = None",
        "import typing\nif typing.TYPE_CHECKING:\n    import not_here_at_all",
        "def f():\n    import not_here_at_all",
        "this is no Python",
    ],
)
def test_nothing_is_wrong_with_these(text: str) -> None:
    assert complaint(lib=text) == ""


def test_the_body_of_a_class_and_of_a_with_counts() -> None:
    assert "not_here_a" in complaint(lib="class A:\n    import not_here_a")
    assert "not_here_b" in complaint(lib="with open('x'):\n    import not_here_b")
