"""Threads that a function starts belong to its call.

Owns handing the context of whoever starts a thread, or gives work to an executor, to the code that
runs there. Never touches threads that no call started. One invariant: work of a pool has the
context of whoever gave it, not of whoever made the thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from typing import Any

from posthog_convex.ai.run_spans import current

_done = False


def carry_context() -> None:
    """Do so in this process from now on; a second time changes nothing."""
    global _done
    if _done:
        return
    _done = True
    threading.Thread.start = _starting(threading.Thread.start)  # type: ignore[method-assign,assignment]
    ThreadPoolExecutor.submit = _submitting(ThreadPoolExecutor.submit)  # type: ignore[method-assign]


def _starting(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @wraps(start)
    def started(self: threading.Thread) -> None:
        __tracebackhide__ = True  # a refused thread is its starter's, not ours
        if current() is not None and not getattr(self, "_posthog_ai_carries", False):
            run, context = self.run, copy_context()
            self.run = lambda: context.run(run)  # type: ignore[method-assign]
            self._posthog_ai_carries = True  # type: ignore[attr-defined]
        start(self)

    return started


def _submitting(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def submitted(
        self: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **named: Any
    ) -> Any:
        __tracebackhide__ = True
        if current() is None:
            return submit(self, work, *args, **named)
        return submit(self, copy_context().run, work, *args, **named)

    return submitted
