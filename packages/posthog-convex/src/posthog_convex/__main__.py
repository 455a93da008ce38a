"""`python -m posthog_convex`, and the entry of the command `posthog-convex`.

Owns a Ctrl-C that comes while Python still imports.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; Ctrl-C while it is imported ends with status 130 and says nothing."""
    try:
        from posthog_convex.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
