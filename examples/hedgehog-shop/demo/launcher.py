"""`./run demo`: starts PostHog Local, the host and the shop, and tells where they are.

Owns the order in which things start, and what is printed. With `--script` a visitor uses the shop,
every step is checked, and the first that fails ends the demo with a sentence and exit status 1.
"""

from __future__ import annotations

import logging
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from demo import shopfront, streams, timeline
from demo.failure import DemoError
from demo.guide import guide
from demo.host import Host, hosting
from demo.options import Options, parse
from demo.processes import PATIENCE_S
from demo.receiver import Receiver, begin_visit, receiving
from demo.steps import STEPS, Step
from demo.visit import Visit
from demo.visitors import Visitor

#: How wide a table is where nobody knows how wide the reader's window is.
_PIPED_COLUMNS = 120
#: What asks the demo to end.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Between two looks whether everything still runs, in seconds.
_LOOK_S = 0.5


def main(arguments: Sequence[str]) -> int:
    """Run the demo; 0 when all went as it should, 1 with a sentence when not."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED_COLUMNS
    try:
        options = parse(arguments)
        with ending_on_signals(), ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hedgehog-")))
            _demo(console, stack, folder, options)
    except DemoError as error:
        complaint = "\n".join([f"The demo stopped: {error}", *getattr(error, "__notes__", ())])
        Console(stderr=True, highlight=False).print(complaint, markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 0 if not options.script else 130
    return 0


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Ctrl-C, a polite kill and a closed terminal end the demo once; while it ends, more of them
    change nothing.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for one in _ENDING:
            signal.signal(one, signal.SIG_IGN)
        # Ctrl-C ends the browser too, which its client would complain about.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise KeyboardInterrupt

    before = {one: signal.signal(one, stop) for one in _ENDING}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _demo(console: Console, stack: ExitStack, folder: Path, options: Options) -> None:
    began = time.monotonic()
    receiver = stack.enter_context(receiving(options))
    what = "PostHog Local listens" if receiver.local is not None else "Events go to PostHog"
    _tick(console, f"{what} at {receiver.host}")
    host = stack.enter_context(hosting(options, receiver, folder))
    _tick(console, f"The host runs {host.functions} functions at {host.url}")
    streams.set_up(host, receiver)
    _tick(console, "Two log streams carry what functions print and raise, without code")
    shop_url = _shop(console, stack, folder, options, host, receiver)
    if options.script:
        _script(console, Visit(host, receiver, _visitor(stack, folder, host, receiver, shop_url)))
        return
    seconds, person = time.monotonic() - began, ""
    if shop_url is None and receiver.local is not None:
        visit = Visit(host, receiver, _visitor(stack, folder, host, receiver, None))
        _script(console, visit)
        person = visit.person
    console.print(guide(host, receiver, shop_url, seconds, person), soft_wrap=True)
    while not host.process.ended():
        time.sleep(_LOOK_S)
    raise DemoError("The host ended by itself.")


def _shop(
    console: Console,
    stack: ExitStack,
    folder: Path,
    options: Options,
    host: Host,
    receiver: Receiver,
) -> str | None:
    """The page's address; None where there is none, with the reason told."""
    reason = "As asked, there is no page" if not options.browser else shopfront.why_not()
    if reason is not None:
        console.print(
            f"[yellow]–[/yellow] {reason}: a Python client is the visitor.", soft_wrap=True
        )
        return None
    url = stack.enter_context(shopfront.open_shop(options, host, receiver, folder))
    _tick(console, f"The shop's page is at {url}")
    return url


def _visitor(
    stack: ExitStack, folder: Path, host: Host, receiver: Receiver, shop_url: str | None
) -> Visitor:
    if shop_url is None:
        from demo.visitors.python import calling

        return stack.enter_context(calling(host.url, folder))
    from demo.visitors.browser import browsing

    return stack.enter_context(browsing(shop_url, receiver.token))


def _script(console: Console, visit: Visit) -> None:
    """Every step, each until it has arrived, and then the person's timeline."""
    if visit.receiver.local is not None:
        begin_visit(visit.local)
    for number, step in enumerate(STEPS, start=1):
        if _possible(step, visit):
            visit.step = number
            said = step.run(visit)
            if visit.receiver.local is not None and visit.person:
                timeline.wait_for(visit.local, visit.person, visit.expected, PATIENCE_S)
            _tick(console, said)
    if visit.receiver.local is None:
        visit.host.all_sent()
        console.print("What the visit left is in your project, under Activity.")
        return
    entries = timeline.wait_for(visit.local, visit.person, visit.expected, PATIENCE_S)
    console.print(timeline.table(visit.person, entries))
    timeline.check(entries, visit.expected)
    _tick(console, "All of it on one person's timeline, in order, and nothing twice")


def _possible(step: Step, visit: Visit) -> bool:
    if step.needs_local and visit.receiver.local is None:
        return False
    return not (step.needs_page and visit.page is None)


def _tick(console: Console, text: str) -> None:
    console.print(f"[green]✓[/green] {text}", soft_wrap=True)
