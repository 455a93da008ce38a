"""What a run reports beside its result."""

from pyconvex.runlog.exceptions import ErrorIds, ExceptionReport, Frame
from pyconvex.runlog.lines import LogLine, LogLines
from pyconvex.runlog.record import Occ, RunRecord
from pyconvex.runlog.report import Item, Report, Usage

__all__ = [
    "ErrorIds",
    "ExceptionReport",
    "Frame",
    "Item",
    "LogLine",
    "LogLines",
    "Occ",
    "Report",
    "RunRecord",
    "Usage",
]
