"""Experiments as PostHog's API tells them: the list, and `ExperimentQuery`.

Owns their shape. Nobody makes experiments here: every flag with variants is one, under the number
of the flag, so what scripts ask of PostHog can be tried before there is an experiment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.api.door import Door, bounds, page
from posthog_local.api.nodes import HOURS, Entity, event_of, parts_of
from posthog_local.http.exchange import Request, Response
from posthog_local.http.router import Endpoint
from posthog_local.query.experiments import CONTROL
from posthog_local.query.insights import Insights
from posthog_local.query.metrics import Did, Measured, Metric
from posthog_local.query.period import Period, plain
from posthog_local.query.welch import compared
from posthog_local.store.store import Store

# Below these PostHog says that nothing can be said yet.
_MIN_PERSONS, _MIN_CONVERTED = 50, 5
_MAX_STEPS = 10
_FIRST = datetime(1970, 1, 1)


class MetricFields(msgspec.Struct, frozen=True):
    """What an experiment measures."""

    metric_type: str
    series: tuple[Entity, ...] = ()
    source: Entity | None = None
    conversion_window: int | None = None
    conversion_window_unit: str = "day"
    funnel_order_type: str | None = None

    def metric(self, flag: str) -> Metric:
        """The question that is meant."""
        window = None
        if self.conversion_window is not None:
            if self.conversion_window_unit not in HOURS or not 0 < self.conversion_window <= 1000:
                raise ValueError(f"a window of {self.conversion_window}"
                                 f" {self.conversion_window_unit} is not supported")  # fmt: skip
            window = self.conversion_window * HOURS[self.conversion_window_unit]
        match self.metric_type:
            case "funnel":
                if self.funnel_order_type not in (None, "ordered"):
                    raise ValueError("funnel_order_type is 'ordered' here")
                if not 1 <= len(self.series) <= _MAX_STEPS:
                    raise ValueError(f"a funnel metric has 1 to {_MAX_STEPS} steps in series")
                return Metric(flag=flag, steps=tuple(map(_did, self.series)), window_hours=window)
            case "mean":
                return self._mean(flag, window)
            case other:
                raise ValueError(
                    f"metrics of type {other!r} are not supported; funnel and mean are"
                )

    def _mean(self, flag: str, window: float | None) -> Metric:
        source = self.source
        if source is None or source.math not in (None, "total", "sum"):
            raise ValueError("a mean metric has a source that is counted ('total') or summed")
        if source.math == "sum" and source.of is None:
            raise ValueError("a sum needs math_property, the property that it is of")
        return Metric(
            flag=flag,
            steps=(_did(source),),
            counted=source.math != "sum",
            amount=source.of if source.math == "sum" else None,
            window_hours=window,
        )


class ExperimentNode(msgspec.Struct, frozen=True):
    """The fields of an `ExperimentQuery`."""

    metric: MetricFields
    experiment_id: int | None = None


class ExperimentApi:
    """Handlers over the flags."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        yield door.of_project("/experiments", GET=self.experiments)

    async def experiments(self, request: Request) -> Response:
        """Every flag with variants, as the experiment that it could be."""
        limit, offset = bounds(request)
        found = [_shown(flag) for flag in self._store.flags.flags if _variants(flag)]
        return page(request, found[offset : offset + limit], len(found))


async def experiment(node: ExperimentNode, store: Store, insights: Insights) -> dict[str, Any]:
    """The fields of the answer; `ValueError` or `QueryRefused` names what is not understood."""
    flag = next((one for one in store.flags.flags if one["id"] == node.experiment_id), None)
    if flag is None:
        raise ValueError(
            f"there is no experiment {node.experiment_id}; here it is the id of a feature flag"
        )
    metric = node.metric.metric(flag["key"])
    found = await insights.measured(metric, Period(_FIRST, plain(insights.now)))
    names = _variants(flag) or ["false", "true"]
    control = CONTROL if CONTROL in names else names[0]
    baseline = found.get(control) or _nobody(control, metric)
    others = [found.get(name) or _nobody(name, metric) for name in names if name != control]
    return {
        "kind": "ExperimentQuery",
        "baseline": _sums(baseline, baseline=True),
        "variant_results": [_result(baseline, one) for one in others],
    }


def _result(baseline: Measured, one: Measured) -> dict[str, Any]:
    difference = compared(baseline.sample, one.sample)
    shown = _sums(one, baseline=False)
    enough = not (shown["validation_failures"] or _failures(baseline, baseline=True))
    told: dict[str, Any] = {"p_value": None, "confidence_interval": None}
    if difference is not None:
        told = {
            "p_value": difference.p,
            "confidence_interval": [difference.low, difference.high],
        }
    significant = difference is not None and difference.p < 0.05 and enough
    return {"method": "frequentist", **shown, **told, "significant": significant}


def _sums(one: Measured, *, baseline: bool) -> dict[str, Any]:
    return {
        "key": one.variant,
        "number_of_samples": one.persons,
        "sum": one.total,
        "sum_squares": one.squares,
        **({"step_counts": list(one.steps)} if one.steps else {}),
        "validation_failures": _failures(one, baseline=baseline),
    }


def _failures(one: Measured, *, baseline: bool) -> list[str]:
    found = []
    if one.persons < _MIN_PERSONS:
        found.append("not-enough-exposures")
    if one.steps and one.total < _MIN_CONVERTED:
        found.append("not-enough-metric-data")
    if baseline and one.total == 0:
        found.append("baseline-mean-is-zero")
    return found


def _nobody(name: str, metric: Metric) -> Measured:
    steps = () if metric.counted or metric.amount is not None else (0,) * len(metric.steps)
    return Measured(variant=name, persons=0, total=0, squares=0, steps=steps)


def _did(entity: Entity) -> Did:
    return Did(event=event_of(entity), where=parts_of(entity.properties))


def _variants(flag: Mapping[str, Any]) -> list[str]:
    variants = (flag["filters"].get("multivariate") or {}).get("variants") or []
    return [str(one["key"]) for one in variants]


def _shown(flag: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": flag["id"],
        "name": flag.get("name") or flag["key"],
        "feature_flag_key": flag["key"],
        "feature_flag": flag,
        "parameters": {"feature_flag_variants": [{"key": one} for one in _variants(flag)]},
        "metrics": [],
        "archived": False,
        "stats_config": {"method": "frequentist"},
    }
