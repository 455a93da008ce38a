"""Regular expressions that mean the same to PostHog's server and to Python.

Owns the check that a pattern is in the part that both dialects share, and its translation. Never
runs a pattern outside of it. One invariant: no search backtracks without bound: a quantified group
that holds a quantifier or an alternative, and a text too long for its pattern, need the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: True, false, or why this text can't be searched here.
Search = Callable[[str], bool | str]

_TOKEN = re.compile(
    r"""
    (?P<escape> \\ (?: [dDsSwWfnrt] | [!-/:;=?@\[\\\]^`{|}~] ) )
  | (?P<set> \[ \^? (?: \\[dDsSwWfnrt] | \\[-\\\[\]^.$*+?(){}|] | [^\\\[\]&~] )+ \] )
  | (?P<open> \( (?: \?: | (?! \? ) ) )
  | (?P<close> \) )
  | (?P<repeat> (?: [*+?] | \{ [0-9]{1,2} (?: , [0-9]{0,2} )? \} ) \?? (?! [*+?{] ) )
  | (?P<anchor> [\^$] )
  | (?P<or> \| )
  | (?P<literal> [^\\\[\]()*+?{}|^$] )
    """,
    re.VERBOSE,
)
_UNBOUNDED = re.compile(r"[*+]|\{[0-9]+,\}")
#: Ranges with a class at an end, and set operations, read differently in the two dialects.
_UNLIKE_SET = re.compile(r"\\[dDsSwW]-.|.-\\[dDsSwW]|--|\|\|")
_NOT_SHARED = "this regular expression may mean something else to the server"
#: Steps of a backtracking search that we accept at worst; typical ones take a thousandth.
_MAX_STEPS = 100_000_000


def pattern_check(pattern: str) -> Search | str | None:
    """The search for a pattern, None if it is invalid everywhere, or why it needs the server."""
    if pattern == "":
        return lambda text: True
    tokens = _tokens(pattern)
    if tokens is None or not _is_tame(tokens):
        return _NOT_SHARED
    try:
        # Python's $ also matches before a final line break, the server's does not.
        compiled = re.compile("".join(r"\Z" if text == "$" else text for _, text in tokens))
    except re.error:
        return None
    classes = re.search(r"\\[wWsS]", pattern) is not None
    depth = 1 + sum(kind == "repeat" and bool(_UNBOUNDED.match(text)) for kind, text in tokens)

    def search(text: str) -> bool | str:
        if classes and not _is_classed_alike(text):
            return "the server may class a character of this value differently"
        if len(text) ** depth > _MAX_STEPS:
            return "this value is too long to search here"
        return compiled.search(text) is not None

    return search


def _is_classed_alike(text: str) -> bool:
    """Whether word and space classes hold the same characters of this text in both dialects."""
    return text.isascii() and not any("\x1c" <= character <= "\x1f" for character in text)


def _tokens(pattern: str) -> list[tuple[str, str]] | None:
    """The pattern as (kind, text), or None when it leaves the shared part."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None or token.lastgroup is None:
            return None
        if token.lastgroup == "set" and _UNLIKE_SET.search(token.group()):
            return None
        tokens.append((token.lastgroup, token.group()))
        position = token.end()
    return tokens


def _is_tame(tokens: list[tuple[str, str]]) -> bool:
    """Whether nothing empty is alternated or repeated, and nothing complex is repeated."""
    #: For each open group: whether it holds a repetition or an alternative.
    complex_groups = [False]
    previous, closed_complex = "", False
    for kind, _ in tokens:
        if kind in ("repeat", "or", "close") and previous in ("", "open", "or"):
            return False
        if kind == "repeat" and (
            previous in ("anchor", "repeat") or (previous == "close" and closed_complex)
        ):
            return False
        if kind == "open":
            complex_groups.append(False)
        elif kind == "close" and len(complex_groups) > 1:
            closed_complex = complex_groups.pop()
            complex_groups[-1] |= closed_complex
        elif kind in ("repeat", "or"):
            complex_groups[-1] = True
        previous = kind
    return previous != "or"
