"""The code in the guide to logs runs, and does what the page says."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pyconvex.delivery import RunEntry, RunLogLane
from pyconvex.runlog.entries import entries_of
from pyconvex.testing import FunctionFailed, convex_test

GUIDE = Path(__file__).parents[4] / "docs" / "logs.md"


def code() -> list[str]:
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    return blocks


def test_the_guides_functions_tell_and_its_lane_carries_it_out() -> None:
    functions, lanes = code()
    module: dict[str, Any] = {}
    exec(lanes, module)
    lane: RunLogLane = module["TroubleLane"]()

    async def main() -> list[RunEntry]:
        async with convex_test({"shop.py": functions}) as t:
            who = t.with_identity(subject="ada")
            for _ in range(2):
                assert await who.query("shop:price", item="soap") == 9.5
            assert t.reported("shop.price_shown") == [{"item": "soap", "price": 9.5}] * 2
            with pytest.raises(FunctionFailed):
                await who.mutation("shop:pay", item="soap")
            (trouble,) = t.reported("shop.trouble")
            entries = [
                entry
                for record in t.run_records
                for entry in entries_of(record, frozenset(lane.reads))
            ]
            raised = next(entry for entry in entries if entry.kind == "exception")
            assert raised.value.id == trouble["error"]["id"]
            return entries

    entries = asyncio.run(main())
    request = lane.encode(entries, {"TROUBLE_URL": "https://trouble.example"})
    assert request is not None
    told = json.loads(request.body or b"")
    assert [(each["what"], each["function"], each["person"]) for each in told] == [
        ({"item": "soap"}, "shop:pay", "ada"),
        ("no answer", "shop:pay", "ada"),
    ]
