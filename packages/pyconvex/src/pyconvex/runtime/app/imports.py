"""What an app imports, read from its source before anything of it runs.

Owns the search for imports that nothing installed provides, so that all of them are told at once,
with the command that mends it. Never imports a module of the app. One invariant: an import that its
author expects to fail, or that only a type checker sees, is none of them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from typing import NamedTuple

#: What provides a module where its name does not say so.
_DISTRIBUTIONS = {
    "Crypto": "pycryptodome",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "discord": "discord.py",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "GitPython",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "nacl": "PyNaCl",
    "posthog_convex": "posthog-convex",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "telegram": "python-telegram-bot",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


class MissingImportsError(Exception):
    """Modules that nothing installed provides; the message names all, with their lines."""


class _Import(NamedTuple):
    name: str
    line: int


def check_imports(sources: Mapping[str, str], folder: str) -> None:
    """Raise `MissingImportsError` when the app imports what is not installed."""
    own = {path.removesuffix(".py").partition("/")[0] for path in sources}
    found: dict[str, str] = {}
    for path, text in sorted(sources.items()):
        for wanted in _imports(text, path):
            if wanted.name not in found and not _is_there(wanted.name):
                found[wanted.name] = f"{folder}/{path}:{wanted.line}"
    if not found:
        return
    lines = [f"{where}: there is no module named {name!r}." for name, where in found.items()]
    mistaken = [name for name in found if name in own]
    wanted_names = sorted(_DISTRIBUTIONS.get(n, n) for n in found if n not in own)
    if mistaken:
        examples = ", ".join(f"`from . import {name}`" for name in mistaken)
        lines.append(f"Modules of the functions folder import each other relatively: {examples}.")
    if wanted_names:
        lines.append(
            f"Install what is missing where the server runs: pip install {' '.join(wanted_names)}"
        )
    raise MissingImportsError("\n".join(lines))


def _imports(text: str, path: str) -> Iterator[_Import]:
    """The modules, by first name, that a source imports when it is imported itself."""
    try:
        tree = ast.parse(text, path)
    except SyntaxError:
        return  # told when it is compiled, with its line
    yield from _in_block(tree.body)


def _in_block(statements: list[ast.stmt]) -> Iterator[_Import]:
    for statement in statements:
        match statement:
            case ast.Import():
                for alias in statement.names:
                    yield _Import(alias.name.partition(".")[0], statement.lineno)
            case ast.ImportFrom(module=str(module), level=0):
                yield _Import(module.partition(".")[0], statement.lineno)
            case ast.With() | ast.ClassDef():
                yield from _in_block(statement.body)
            # In `if` and `try` the author has other plans for when it is not there.


def _is_there(name: str) -> bool:
    if name in sys.builtin_module_names or name in sys.stdlib_module_names or name in sys.modules:
        return True
    return PathFinder.find_spec(name) is not None or _found_by_others(name)


def _found_by_others(name: str) -> bool:
    """Editable installs and their like have finders of their own."""
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is not None and find_spec(name, None, None) is not None:
            return True
    return False
