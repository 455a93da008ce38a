"""How a function's failure reaches the test: as its author's exception, or with it as the cause.

Owns `FunctionFailed` and the memory of what runs raised. Never hides the text that a client would
get. One invariant: what a run raised is found by that text, so a failure that was shared or passed
on still leads to the line that raised it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NoReturn

from pyconvex.functions import ConvexError, FunctionCallError
from pyconvex.runtime.calls import Failure
from pyconvex.values import codec

#: Exceptions that are remembered; they keep the frames of their runs alive.
MAX_REMEMBERED = 256


class FunctionFailed(Exception):
    """A function raised something else than a `ConvexError`, or could not start.

    The text is what developers read in production, frames included. `__cause__` is the exception
    itself, with its traceback into the function.
    """

    def __init__(self, message: str, log_lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        #: What the run had logged by then, as clients get it.
        self.log_lines = log_lines


class Raised:
    """What runs raised, by the text that describes it."""

    def __init__(self) -> None:
        self._by_text: OrderedDict[str, BaseException] = OrderedDict()

    def remember(self, text: str, error: BaseException) -> None:
        """Keep an exception; one that an action got from a call gets the first one as cause."""
        if isinstance(error, FunctionCallError) and error.__cause__ is None:
            error.__cause__ = self.find(str(error))
        self._by_text[text] = error
        if len(self._by_text) > MAX_REMEMBERED:
            self._by_text.popitem(last=False)

    def find(self, text: str) -> BaseException | None:
        """The exception that this text describes, if it is still remembered."""
        return self._by_text.get(text)

    def reraise(self, failure: Failure) -> NoReturn:
        """Raise what the caller of a failed function shall see."""
        error = self.find(failure.message)
        if isinstance(error, ConvexError):
            raise error
        if failure.data is not None:
            raise ConvexError(codec.decode(failure.data))
        raise FunctionFailed(failure.message, failure.log_lines) from error
