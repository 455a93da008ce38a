"""A request that is not accepted: answered with a documented status and a sentence.

Never carries the body that was refused. A request is refused whole: nothing of it was kept.
"""

from __future__ import annotations


class Refusal(Exception):
    """This request is not accepted; answer `status` with the plain text `sentence`."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        self.sentence = sentence
        super().__init__(f"{status}: {sentence}")
