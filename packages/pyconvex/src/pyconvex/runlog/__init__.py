"""What a run reports beside its result."""

from pyconvex.runlog.lines import LogLines

__all__ = ["LogLines"]
