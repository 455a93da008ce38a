"""A component that ships a cron job and schedules for itself."""

from pyconvex import define_component

ticking = define_component("ticking", functions="ticking_component.functions")
