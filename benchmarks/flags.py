"""Reading feature flags, beside PyPI `posthog` and npm `@posthog/convex`.

Owns the claim that a flag read costs microseconds, whatever the number of flags. Never compares
different answers: before anything is timed, all three must give the same value for every flag and
person. Invariant: the peers run unchanged, from their registries, with definitions already at hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posthog import Posthog

from benchmarks import flag_sets, machine
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from posthog_convex.component.compiled import CompiledFlags, Rows
from posthog_convex.component.functions.tables import CohortRow, FlagRow
from posthog_convex.flags import (
    CompiledFlag,
    parse_definitions,
    parse_flag,
    references_of_flag,
)

PYTHON_SDK, CONVEX_SDK = "PyPI posthog", "npm @posthog/convex"
PEERS = Path(__file__).parent / "peers"
PERSONS = 50
CLAIM = (
    "A flag compiles once per version into a closure; reading it costs the same with 100 flags as "
    "with 1,000. `@posthog/convex` parses every definition at every read; `posthog` walks the "
    "definition at every read."
)
NOTES = [
    "evaluator: the bare evaluators, definitions loaded (for ours compiled, for `posthog` its "
    "`_locally_evaluate_flag`, for `@posthog/convex` its `LocalFeatureFlagEvaluator`).",
    "one flag read: from what is stored to the value, the stored rows at hand. Ours looks up the "
    "closure by the rows' hashes and asks it, as the component's query does; `@posthog/convex` "
    "`getFeatureFlag` parses its one row; `posthog`, which stores nothing, is "
    "`evaluate_flags(flag_keys=[key], only_evaluate_locally=True)`. What a host adds (reading the "
    "rows, the call into the component) is in none of the three.",
    "first read after a change: ours parses and compiles the flag first; the peers do what they do "
    "at every read.",
    "all flags: per flag, when all are asked at once.",
]

Values = list[list[bool | str | None]]


@dataclass(frozen=True)
class Timing:
    """Samples of about `seconds` each; a first one is thrown away."""

    seconds: float
    samples: int

    def ns(self, step: Callable[[int], object], *, flags: int = 1, batch: int = 1) -> list[float]:
        found = [self._sample(step, batch) / flags for _ in range(self.samples + 1)]
        return found[1:]

    def _sample(self, step: Callable[[int], object], batch: int) -> float:
        steps, started = 0, time.perf_counter_ns()
        until = started + self.seconds * 1e9
        while time.perf_counter_ns() < until:
            for _ in range(batch):
                step(steps)
                steps += 1
        return (time.perf_counter_ns() - started) / steps


@dataclass(frozen=True)
class Answers:
    """What one subject said and how long it took, in ns a flag."""

    values: Values
    evaluator: list[float]
    read: list[float]
    first: list[float]
    all: list[float]


def main() -> None:
    arguments = options(__doc__).parse_args()
    timing = Timing(0.1, 1) if arguments.quick else Timing(0.5, 5)
    about = machine.describe()
    cases = [case for size in (100, 1_000) for case in compare(size, timing)]
    result = Result(
        name="flags",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions={
            **machine.versions("posthog", "posthog-convex"),
            "@posthog/convex": _npm_version("@posthog/convex"),
            "node": machine.node_version(),
        },
        settings={"persons": str(PERSONS), "samples": str(timing.samples)},
        notes=NOTES,
    )
    publish(result, keep=not arguments.quick)


def compare(size: int, timing: Timing) -> list[Case]:
    """The cases for a set of `size` flags. Ends the run when the subjects disagree."""
    definitions, persons = flag_sets.definitions(size), flag_sets.persons(PERSONS)
    answers = {
        OURS: ask_ours(definitions, persons, timing),
        PYTHON_SDK: ask_python_sdk(definitions, persons, timing),
        CONVEX_SDK: ask_convex_sdk(definitions, persons, timing),
    }
    _must_agree([flag["key"] for flag in definitions["flags"]], answers)

    def case(name: str, samples: Callable[[Answers], list[float]]) -> Case:
        figures = {subject: Figure.of(samples(answer)) for subject, answer in answers.items()}
        return Case(f"{size} flags, {name}", "ns a flag", False, figures)

    return [
        case("evaluator", lambda a: a.evaluator),
        case("one flag read", lambda a: a.read),
        case("first read after a change", lambda a: a.first),
        case("all flags", lambda a: a.all),
    ]


def ask_ours(definitions: dict[str, Any], persons: list[dict[str, Any]], timing: Timing) -> Answers:
    stored = list(stored_rows(definitions).values())
    size, cache = len(stored), CompiledFlags(bound=len(stored))
    flags = [cache.get(rows) for rows in stored]

    def ask(flag: CompiledFlag, person: dict[str, Any]) -> bool | str | None:
        verdict = flag.evaluate(person["distinct_id"], person["properties"], {}, {}, 0.0)
        return verdict.value

    def read(n: int, compiled: CompiledFlags) -> None:
        at_hand = stored[n % size]
        rows = Rows(at_hand.key, at_hand.flags, at_hand.cohorts)
        ask(compiled.get(rows), persons[n % PERSONS])

    return Answers(
        values=[[ask(flag, person) for flag in flags] for person in persons],
        evaluator=timing.ns(lambda n: ask(flags[n % size], persons[n % PERSONS]), batch=100),
        read=timing.ns(lambda n: read(n, cache), batch=100),
        first=timing.ns(lambda n: read(n, CompiledFlags(bound=1)), batch=10),
        all=timing.ns(lambda n: [ask(flag, persons[n % PERSONS]) for flag in flags], flags=size),
    )


def stored_rows(definitions: dict[str, Any]) -> dict[str, Rows]:
    """For each flag the rows that the component's query would have read for it."""
    known = parse_definitions(json.dumps(definitions))
    cohorts = {
        id_: CohortRow(cohort_id=id_, hash=id_, definition=raw.decode(), flags=[], cohorts=[])
        for id_, raw in known.cohorts.items()
    }
    found = {}
    for key, raw in known.flags.items():
        named = references_of_flag(parse_flag(raw)).cohorts
        row = FlagRow(
            key=key,
            hash=key,
            definition=raw.decode(),
            matching_version=known.matching_version,
            flags=[],
            cohorts=list(named),
            group_types=False,
        )
        found[key] = Rows(key, {key: row}, {id_: cohorts[id_] for id_ in named})
    return found


def ask_python_sdk(
    definitions: dict[str, Any], persons: list[dict[str, Any]], timing: Timing
) -> Answers:
    client = Posthog("phc_benchmark", send=False, enable_local_evaluation=False)
    client.feature_flags = definitions["flags"]
    client.group_type_mapping = definitions["group_type_mapping"]
    client.cohorts = definitions["cohorts"]
    keys = [flag["key"] for flag in definitions["flags"]]
    size = len(keys)

    def evaluate(key: str, person: dict[str, Any]) -> bool | str | None:
        value, _ = client._locally_evaluate_flag(
            key, person["distinct_id"], {}, person["properties"], {}
        )
        return value

    def read(n: int) -> None:
        key, person = keys[n % size], persons[n % PERSONS]
        found = client.evaluate_flags(
            person["distinct_id"],
            person_properties=person["properties"],
            only_evaluate_locally=True,
            flag_keys=[key],
        )
        found.get_flag(key, send_feature_flag_events=False)

    def read_all(n: int) -> None:
        person = persons[n % PERSONS]
        client.evaluate_flags(
            person["distinct_id"],
            person_properties=person["properties"],
            only_evaluate_locally=True,
        )

    one = timing.ns(read, batch=10)
    return Answers(
        values=[[evaluate(key, person) for key in keys] for person in persons],
        evaluator=timing.ns(lambda n: evaluate(keys[n % size], persons[n % PERSONS]), batch=100),
        read=one,
        first=one,
        all=timing.ns(read_all, flags=size),
    )


def ask_convex_sdk(
    definitions: dict[str, Any], persons: list[dict[str, Any]], timing: Timing
) -> Answers:
    question = {
        "definitions": definitions,
        "persons": persons,
        "seconds": timing.seconds,
        "samples": timing.samples,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(question, file)
        file.flush()
        command = ["node", str(PEERS / "flags.mjs"), file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the Node peer failed; ./run bench flags installs it\n{done.stderr}")
    said = json.loads(done.stdout)
    ns = said["ns"]
    return Answers(said["values"], ns["evaluator"], ns["read"], ns["read"], ns["all"])


def _must_agree(keys: Sequence[str], answers: dict[str, Answers]) -> None:
    ours = answers[OURS].values
    for subject, answer in answers.items():
        differ = [
            (keys[at], ours[row][at], value)
            for row, values in enumerate(answer.values)
            for at, value in enumerate(values)
            if value != ours[row][at]
        ]
        if differ:
            sys.exit(f"{subject} disagrees on {len(differ)} values, such as {differ[:5]}")


def _npm_version(name: str) -> str:
    text = (PEERS / "node_modules" / name / "package.json").read_text()
    return str(json.loads(text)["version"])


if __name__ == "__main__":
    main()
