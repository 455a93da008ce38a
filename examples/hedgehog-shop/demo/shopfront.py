"""The shop's page: built by Vite from its sources, served from a thread here.

Owns the build and the small server. Never keeps a build: it holds the addresses of one start. One
invariant: without Node there is a sentence that says so, and no page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from demo import ports
from demo.failure import DemoError
from demo.host import SHOP, Host
from demo.options import SHOP_PORT, Options
from demo.receiver import Receiver

#: How long Vite may take, in seconds: one or two are usual.
_BUILD_S = 300.0
_VITE = SHOP / "node_modules" / "vite" / "bin" / "vite.js"


def why_not() -> str | None:
    """Why no page can be built here; None when one can."""
    if shutil.which("node") is None:
        return "Node was not found on PATH, and the shop's page needs Node 20.19 or newer"
    if not _VITE.exists():
        return "The page's npm packages are not installed; ./run demo does that where npm is"
    return None


@contextmanager
def open_shop(options: Options, host: Host, receiver: Receiver, folder: Path) -> Iterator[str]:
    """The page's address, for as long as the block lasts."""
    port = ports.choose("--shop-port", options.shop_port, SHOP_PORT)
    page = folder / "page"
    build(page, variables(host.url, receiver))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Page, directory=str(page)))
    except OSError as error:
        raise DemoError(f"The shop can't listen on port {port}: {error.strerror}.") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def variables(host_url: str, receiver: Receiver) -> dict[str, str]:
    """What the page is told."""
    told = {
        "VITE_CONVEX_URL": host_url,
        "VITE_PUBLIC_POSTHOG_PROJECT_TOKEN": receiver.token,
        "VITE_PUBLIC_POSTHOG_HOST": receiver.host,
    }
    if receiver.flags_key is not None:
        told["VITE_PUBLIC_FLAGS_EVERY_S"] = str(receiver.refresh_s)
    if receiver.local is not None:
        told["VITE_PUBLIC_POSTHOG_LOCAL_URL"] = receiver.host
    return told


def build(target: Path, told: Mapping[str, str]) -> None:
    """The page with these variables, in a folder of its own."""
    node = shutil.which("node")
    if node is None:
        raise DemoError(f"{why_not()}.")
    command = [node, str(_VITE), "build", "--outDir", str(target), "--emptyOutDir"]
    done = subprocess.run(
        [*command, "--logLevel", "warn"],
        cwd=SHOP,
        env={**os.environ, **told},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
    )
    if done.returncode:
        raise DemoError(f"Vite could not build the page:\n{(done.stderr or done.stdout).strip()}")


class _Page(SimpleHTTPRequestHandler):
    """Files, and the page itself for every path that is none: its own links decide then."""

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        return found if os.path.isfile(found) else os.path.join(self.directory, "index.html")

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")  # the next start's page is another
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
