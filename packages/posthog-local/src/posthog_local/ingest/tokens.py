"""Whose events are taken: every project token by default, or this project's alone.

Owns what happens to another token where only the project's counts: as at PostHog, what it sent is
dropped although the answer is 200, and flags answer 401. Never keeps a whole token: somebody may
have pasted a secret. Invariant: nothing that came with a foreign token is stored as data.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.warning import Note

_SHOWN_CHARACTERS = 8
_log = logging.getLogger(__name__)


class Tokens:
    """The project's tokens; `only` None takes every one that is well-formed."""

    def __init__(
        self, only: str | None, add_notes: Callable[[Sequence[Note]], Awaitable[None]]
    ) -> None:
        self._only = only
        self._add_notes = add_notes

    async def foreign(self, token: str, path: str) -> bool:
        """Whether what came with this token is to be dropped; if so, a warning says it."""
        if self._only is None or token == self._only:
            return False
        details = {"path": path, "token": f"{token[:_SHOWN_CHARACTERS]}…"}
        note = Note(
            kind="unknown_project_token",
            at_us=time.time_ns() // 1000,
            details=details,
            payload="",
        )
        try:
            await self._add_notes([note])
        except Exception:
            _log.exception("a request with an unknown token could not be noted")
        return True

    def check(self, token: str) -> None:
        """`Refusal` 401 for another project's token, as questions about flags get."""
        if self._only is not None and token != self._only:
            raise Refusal(401, "the project token is not this project's; Settings shows it")
