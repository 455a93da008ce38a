"""Flag definitions and persons, made the same way in every run.

Owns what the flag benchmark asks about, in the form of PostHog's definitions endpoint. Never
evaluates. Invariant: the same size and seed give the same bytes.
"""

from __future__ import annotations

import random
from typing import Any

#: Of ten flags: rollouts, property filters, experiments, cohorts, several conditions.
KINDS = ("rollout", "rollout", "property", "property", "property", "variants", "variants",
         "variants", "cohort", "conditions")  # fmt: skip
COHORTS = 10
VALUES: dict[str, list[Any]] = {
    "plan": ["free", "team", "scale", "enterprise"],
    "country": ["DE", "FR", "US", "JP", "BR"],
    "email": ["ada@example.com", "linus@example.org", "grace@navy.example", "hedy@example.net"],
    "seats": [1, 3, 10, 250],
}


def definitions(flags: int, seed: int = 7) -> dict[str, Any]:
    """An answer of the definitions endpoint."""
    chance = random.Random(seed)
    return {
        "flags": [flag(number, chance) for number in range(flags)],
        "group_type_mapping": {"0": "company"},
        "cohorts": {str(id_): cohort(chance) for id_ in range(1, COHORTS + 1)},
    }


def persons(count: int, seed: int = 11) -> list[dict[str, Any]]:
    """Persons with every property that the flags ask for: none is left without a verdict."""
    chance = random.Random(seed)
    return [
        {
            "distinct_id": f"person-{chance.getrandbits(64):016x}",
            "properties": {name: chance.choice(values) for name, values in VALUES.items()},
        }
        for _ in range(count)
    ]


def flag(number: int, chance: random.Random) -> dict[str, Any]:
    kind = KINDS[number % len(KINDS)]
    filters: dict[str, Any] = {"groups": conditions(kind, chance), "payloads": {}}
    if kind == "variants":
        shares = chance.choice([(50, 50), (34, 33, 33), (25, 25, 25, 25)])
        filters["multivariate"] = {
            "variants": [
                {"key": f"variant-{place}", "name": "", "rollout_percentage": share}
                for place, share in enumerate(shares)
            ]
        }
        filters["payloads"] = {"variant-0": '{"discount": 20}'}
    return {
        "id": number + 1,
        "team_id": 1,
        "name": f"What flag number {number} is for",
        "key": f"flag-{number}-{kind}",
        "filters": filters,
        "deleted": False,
        "active": chance.random() > 0.05,
        "ensure_experience_continuity": False,
        "version": chance.randrange(1, 20),
    }


def conditions(kind: str, chance: random.Random) -> list[dict[str, Any]]:
    rollout = chance.choice([10, 25, 50, 75, 100])
    if kind == "rollout":
        return [{"properties": [], "rollout_percentage": rollout, "variant": None}]
    if kind == "cohort":
        asked = [{"key": "id", "type": "cohort", "value": chance.randrange(1, COHORTS + 1)}]
        return [{"properties": asked, "rollout_percentage": rollout, "variant": None}]
    count = 3 if kind == "conditions" else 1
    return [
        {
            "properties": [person_filter(chance) for _ in range(chance.choice([1, 2]))],
            "rollout_percentage": rollout,
            "variant": None,
        }
        for _ in range(count)
    ]


def person_filter(chance: random.Random) -> dict[str, Any]:
    key = chance.choice(list(VALUES))
    operator, value = {
        "plan": ("exact", chance.sample(VALUES["plan"], 2)),
        "country": ("is_not", [chance.choice(VALUES["country"])]),
        "email": ("icontains", chance.choice(["@example.com", "@example", ".org"])),
        "seats": (chance.choice(["gt", "lte"]), chance.choice([2, 9, 100])),
    }[key]
    return {"key": key, "type": "person", "operator": operator, "value": value}


def cohort(chance: random.Random) -> dict[str, Any]:
    inner = [{**person_filter(chance), "negation": False} for _ in range(2)]
    return {"type": "OR", "values": [{"type": "AND", "values": inner}]}
