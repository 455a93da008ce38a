"""Pages of a deployment, one after the other, from a position on.

Owns the position, the attempts, and the choice between Convex's two exports and their forms. Never
saves anything. Invariant: a page is asked for again with the very same request, until it is whole.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec

from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source.deployment import Source
from posthog_convex.warehouse.source.retry import (
    ATTEMPTS,
    Again,
    Expired,
    Stop,
    Take,
    Unknown,
    verdict,
    why,
)
from posthog_convex.warehouse.source.steps import (
    LISTING,
    Extras,
    Format,
    Position,
    Request,
    Step,
    SyncPosition,
    WalkPosition,
    request,
    step,
)
from posthog_convex.warehouse.source.wire import TableListing, read
from posthog_convex.warehouse.tables.ref import TableRef
from posthog_convex.warehouse.tables.selection import Selection


class Api(enum.Enum):
    """Which of Convex's exports to use."""

    AUTO = "auto"  #: the new one where the deployment has it
    DATA_SYNC = "data_sync"
    LEGACY = "legacy"

    def beginning(self) -> Position:
        return WalkPosition() if self is Api.LEGACY else SyncPosition()


class Clock(msgspec.Struct, frozen=True):
    """Time and chance, as a sync uses them."""

    now_ms: Callable[[], int]
    monotonic: Callable[[], float]
    pause: Callable[[float], None]
    dice: Callable[[], float]


class Pager:
    """Asks for pages. `position` is where the next one begins."""

    def __init__(
        self,
        source: Source,
        selection: Selection,
        clock: Clock,
        *,
        position: Position,
        api: Api = Api.AUTO,
        page_size: int | None = None,
        attempts: int = ATTEMPTS,
        retrying: Callable[[str, int], None] = lambda reason, times: None,
    ) -> None:
        self.position = position
        #: Whether the deployment is this project's own host. None until an answer tells.
        self.ours: bool | None = None
        self._source = source
        self._selection = selection
        self._clock = clock
        self._api = api
        self._page_size = page_size
        self._attempts = attempts
        #: Hears why a request is made again, and how often at most, before its first repetition.
        self._retrying = retrying

    def next(self, wait_s: float = 0.0) -> Step | Expired:
        """The next page. Raises SyncRefused when no repetition helps."""
        while True:
            asked = request(self.position, self._selection, self._extras(wait_s))
            outcome = self._asked(asked)
            if isinstance(outcome, Expired):
                return outcome
            if isinstance(outcome, Unknown):
                self._fall_back(outcome)
                continue
            page = step(self.position, outcome, self._selection)
            if isinstance(self.position, SyncPosition):
                self.ours = page.dropped is not None
            if isinstance(self.position, WalkPosition) and self.position.snapshot is None:
                # The legacy walk says nothing of tables without documents.
                page = msgspec.structs.replace(page, truncates=self._selected())
            self.position = page.position
            return page

    def tables(self) -> frozenset[TableRef] | None:
        """The deployment's tables now; None where it does not tell."""
        try:
            outcome = self._asked(LISTING)
            return read(outcome, TableListing).tables() if isinstance(outcome, bytes) else None
        except SyncRefused:  # what is really wrong, the pages tell; a list is not needed
            return None

    def _selected(self) -> tuple[TableRef, ...]:
        listed = self.tables() or frozenset()
        return tuple(sorted(ref for ref in listed if self._selection.allows(ref)))

    def _extras(self, wait_s: float) -> Extras | None:
        if self.ours is False or not isinstance(self.position, SyncPosition):
            return None
        return Extras(wait_s if self.ours else 0.0, self._page_size)

    def _asked(self, asked: Request) -> bytes | Expired | Unknown:
        attempt = 0
        while True:
            attempt += 1
            answer = self._source.ask(asked)
            match verdict(answer, attempt, self._clock.dice(), self._attempts):
                case Take():
                    return answer.body
                case Again(pause_s):
                    if attempt == 1:
                        self._retrying(why(answer), self._attempts - 1)
                    self._clock.pause(pause_s)
                case Stop(refusal):
                    raise refusal
                case Expired() | Unknown() as outcome:
                    return outcome

    def _fall_back(self, unknown: Unknown) -> None:
        """To what older deployments take; only ever at the beginning of a kind of position."""
        match self.position:
            case SyncPosition() if self.ours is None and unknown.refusal.code == "BadJsonBody":
                self.ours = False
            case SyncPosition(None) if self._api is Api.AUTO:
                self.position = WalkPosition()
            case WalkPosition(None, None, Format.EXPORT):
                self.position = WalkPosition(format=Format.ENCODED)
            case _:
                raise unknown.refusal
