"""A component that does nothing, for the cost of calling one."""

from pyconvex import define_component

counters = define_component("counters", functions="benchmarks.cost_component.functions")
counters.queue("idle")
counters.lane("benchmarks.cost_component.lanes:IdleLane")
