"""How the demo fails: with a sentence that says what was seen and what to do."""

from __future__ import annotations


class DemoError(Exception):
    """A step or a start failed; the message says which and what was seen instead."""
