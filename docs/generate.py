"""The parts of the docs that the code writes: every module, the commands, the benchmarks' ratios.

Owns what stands between the marks `<!-- begin NAME -->` and `<!-- end NAME -->` in docs/*.md; never
touches a line outside them. `python docs/generate.py` rewrites the parts, `--check` only compares.

Invariant: a module without an opening docstring has no row to stand in, so the check fails for it.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "pyconvex": "pyconvex",
    "posthog-convex": "posthog_convex",
    "posthog-local": "posthog_local",
}
#: A route of ours, and the rooms that spell routes.
PATH = re.compile(r"/[a-z_@][\w@.{}:/-]*")
EDGES = {"http", "sync", "dashboard", "posthog_local"}
#: Modules there that only call routes.
CALLERS = {"cli", "testing"}


def main(arguments: list[str]) -> int:
    stale = []
    for page, text in pages():
        if page.read_text() == text:
            continue
        stale.append(page.relative_to(ROOT).as_posix())
        if "--check" not in arguments:
            page.write_text(text)
    if stale and "--check" in arguments:
        print(f"{', '.join(stale)} no longer says what the code does: ./run fix rewrites it")
        return 1
    return 0


def pages() -> Iterator[tuple[Path, str]]:
    """Each page with generated parts, and what it should read."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = page.read_text()
        for name, write in PARTS.items():
            begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
            if begin in text:
                head, rest = text.split(begin)
                text = f"{head}{begin}\n{write().strip()}\n\n{end}{rest.split(end)[1]}"
        yield page, text


def modules() -> str:
    """A table of modules for each room, in the order of the tree."""
    lines: list[str] = []
    for folder, package in PACKAGES.items():
        source = ROOT / "packages" / folder / "src" / package
        lines += [f"### {package}", ""]
        for room, files in rooms(source):
            lines += [f"**{room}**" if room else "**the package itself**", ""]
            lines += ["| file | what it owns |", "|---|---|"]
            for file in files:
                name = file.relative_to(source).as_posix()
                link = f"../packages/{folder}/src/{package}/{name}"
                lines.append(f"| [`{name}`]({link}) | {opening(file)} |")
            lines.append("")
    return "\n".join(lines)


def rooms(source: Path) -> list[tuple[str, list[Path]]]:
    """Modules by the room that they stand in; a module of the package's own stands in ""."""
    found: dict[str, list[Path]] = {}
    for file in sorted(source.rglob("*.py")):
        if not file.read_text().strip():
            continue  # an empty __init__.py owns nothing
        room = file.relative_to(source).parent.as_posix()
        found.setdefault("" if room == "." else room, []).append(file)
    return sorted(found.items())


def opening(file: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text()))
    if not text:
        raise SystemExit(f"{file.relative_to(ROOT)} has no docstring that says what it owns")
    return cell(text.split("\n\n")[0])


def routes() -> str:
    """Every path that a module of an edge spells, by module."""
    lines = ["| module | paths |", "|---|---|"]
    for folder, package in PACKAGES.items():
        source = ROOT / "packages" / folder / "src" / package
        for file in sorted(source.rglob("*.py")):
            if file.stem in CALLERS:
                continue
            paths = sorted({text for text in strings(file) if PATH.fullmatch(text)})
            inside = file.relative_to(source)
            if paths and EDGES & {package, *inside.parts}:
                name = f"{package}/{inside.as_posix()}"
                lines.append(f"| `{name}` | {', '.join(f'`{path}`' for path in paths)} |")
    return "\n".join(lines)


def strings(file: Path) -> Iterator[str]:
    """String constants of a module; docstrings and pieces of f-strings left out."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    inside = [node.values for node in nodes if isinstance(node, ast.JoinedStr)]
    passed = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    passed |= {id(part) for parts in inside for part in parts}
    texts = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in passed]
    yield from (node.value for node in texts if isinstance(node.value, str))


def results() -> str:
    """The ratios of every benchmark that was kept, each with its claim."""
    lines: list[str] = []
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        result = json.loads(file.read_text())
        title = result["name"].replace("_", " ").capitalize()
        lines += [f"### {title}", "", result["claim"], ""]
        peers = list(dict.fromkeys(p for case in result["cases"] for p in case["figures"]))
        peers.remove("ours")
        # What has no peer shows its own figures.
        heads = [f"against {peer}" for peer in peers] or ["measured"]
        lines += [f"| case | {' | '.join(heads)} |"]
        lines += [f"|{'---|' * (len(heads) + 1)}"]
        for case in result["cases"]:
            own = f"{case['figures']['ours']['median']:,.0f}"
            figures = [ratio(case, peer) for peer in peers] or [own]
            lines.append(f"| {case['name']}, {case['unit']} | {' | '.join(figures)} |")
        day, table = result["machine"]["date"], f"../benchmarks/results/{file.stem}.md"
        lines += ["", f"[Figures, notes, machine and versions]({table}), {day}.", ""]
    return "\n".join(lines) or "Nothing was measured yet."


def ratio(case: dict[str, Any], peer: str) -> str:
    if peer not in case["figures"]:
        return ""
    ours, other = case["figures"]["ours"]["median"], case["figures"][peer]["median"]
    return f"{ours / other if case['more_is_better'] else other / ours:.2f}×"


def cell(text: str) -> str:
    """Text that stays in its table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def commands() -> str:
    """Every command of the command lines, with its options, as `--help` tells them."""
    from posthog_convex.cli import main as posthog_convex
    from posthog_local.cli import main as posthog_local
    from pyconvex.cli import main as pyconvex

    lines: list[str] = []
    for name, command in (
        ("pyconvex", pyconvex),
        ("posthog-convex", posthog_convex),
        ("posthog-local", posthog_local),
    ):
        lines += command_lines(name, command)
    return "\n".join(lines)


def command_lines(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield from (f"### `{path}`", "", command.get_short_help_str(limit=200), "")
    rows = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and not parameter.hidden
        and (record := parameter.get_help_record(context))
    ]
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    if arguments:
        yield from (f"Arguments: {', '.join(f'`{a}`' for a in arguments)}", "")
    if rows:
        yield from ("| option | what it does |", "|---|---|")
        for option, text in rows:
            yield f"| `{cell(option)}` | {cell(text)} |"
        yield ""
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):  # also those imported when used
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from command_lines(f"{path} {name}", child)


PARTS: dict[str, Callable[[], str]] = {
    "modules": modules,
    "commands": commands,
    "routes": routes,
    "results": results,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
