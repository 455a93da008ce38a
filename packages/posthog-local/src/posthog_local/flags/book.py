"""Every flag and cohort as of the last change, ready to evaluate and to serve.

Owns the snapshot that `/flags` and `/flags/definitions` answer from. Immutable: a change makes a
new book. Invariant: what is served for local evaluation is what is evaluated here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.flags.cohorts import CohortBook
from posthog_local.flags.definition import FlagDefinition, typed
from posthog_local.flags.evaluate import Evaluation, Evaluator, Subject
from posthog_local.flags.question import Question


class Definitions(msgspec.Struct, frozen=True):
    """The body of `/flags/definitions` and its ETag."""

    body: bytes
    etag: str


class FlagBook:
    """A snapshot of all flags and cohorts.

    >>> FlagBook([], {}).definitions({}, with_cohorts=True).body[:12]
    b'{"flags":[],'
    """

    def __init__(
        self, flags: Sequence[dict[str, Any]], cohorts: Mapping[int, dict[str, Any]]
    ) -> None:
        self.flags = tuple(flags)
        self.cohorts = dict(cohorts)
        self._typed = {one.key: one for one in map(typed, flags) if not one.deleted}
        self._cohort_book = CohortBook(self.cohorts)

    @property
    def continuous(self) -> tuple[str, ...]:
        """The keys of the flags that keep somebody's variant across a login."""
        flags = self._typed.values()
        return tuple(one.key for one in flags if one.active and one.ensure_experience_continuity)

    def get(self, key: str) -> dict[str, Any] | None:
        """The full definition of one flag."""
        return next((flag for flag in self.flags if flag["key"] == key), None)

    def evaluate(
        self,
        subject: Subject,
        group_types: Mapping[int, str],
        now: datetime,
        question: Question | None = None,
    ) -> list[Evaluation]:
        """The flags that the question asks for, or all of them."""
        evaluator = Evaluator(self._typed, self._cohort_book, group_types, subject, now)
        if question is None:
            return evaluator.evaluate()
        return evaluator.evaluate(self._wanted(question))

    def definitions(self, group_types: Mapping[int, str], *, with_cohorts: bool) -> Definitions:
        """What server SDKs download for local evaluation."""
        body = msgspec.json.encode(
            {
                "flags": [flag for flag in self.flags if not flag.get("deleted")],
                "group_type_mapping": {str(index): name for index, name in group_types.items()},
                "cohorts": {
                    str(number): {name: cohort[name] for name in cohort if name != "name"}
                    for number, cohort in self.cohorts.items()
                    # Members of a static cohort never leave the server.
                    if with_cohorts and "distinct_ids" not in cohort
                },
                "property_matching_version": 1,
                "minimal_flag_called_events": False,
            }
        )
        return Definitions(body, f'W/"{hashlib.sha256(body).hexdigest()[:32]}"')

    def _wanted(self, question: Question) -> Iterable[str]:
        for key, flag in self._typed.items():
            if question.flag_keys is not None and key not in question.flag_keys:
                continue
            if _fits_runtime(flag, question) and _fits_contexts(flag, question):
                yield key


def _fits_runtime(flag: FlagDefinition, question: Question) -> bool:
    wanted, has = question.evaluation_runtime, flag.evaluation_runtime
    return wanted in (None, "all") or has in (None, "", "all", wanted)


def _fits_contexts(flag: FlagDefinition, question: Question) -> bool:
    contexts = flag.evaluation_contexts
    if not contexts or not question.evaluation_contexts:
        return True
    return not question.evaluation_contexts.isdisjoint(contexts)
