"""How pages are built and browsed here.

Owns the bundler's call and Chromium's flags. Never touches what the npm packages do.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent

#: Chromium without what would call out of this machine.
BROWSER_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
#: What a page may take to show something on a busy machine, in milliseconds.
PATIENCE_MS = 30_000
CLIENT_VERSIONS = {"1.48": "convex", "1.39": "convex-1.39"}


def bundle(target: Path, convex: str) -> None:
    """The page with React and this version of the client in one file."""
    command = [
        str(HERE / "node_modules" / ".bin" / "esbuild"),
        str(HERE / "page.jsx"),
        "--bundle",
        "--jsx=automatic",
        "--define:process.env.NODE_ENV='production'",
        f"--outfile={target}",
        "--log-level=warning",
    ]
    if convex != "convex":
        command.append(f"--alias:convex={convex}")
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, cwd=HERE)
