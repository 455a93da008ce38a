"""The entry of the command `pyconvex`.

Owns a Ctrl-C that comes while Python still imports. It stands beside the package, since whatever is
imported from there has the package imported first, and that takes the longest.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; Ctrl-C while it is imported ends with status 130 and says nothing."""
    try:
        from pyconvex.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()
