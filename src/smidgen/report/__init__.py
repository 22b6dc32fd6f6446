"""The evidence of a run: `report.json`, the page made from it, and the numbers and drawings on it."""

from smidgen.report.page import render, write_page
from smidgen.report.schema import Report, ReportError, complete, read, write
from smidgen.report.statistics import (
    balanced_accuracy,
    calibration_error,
    confusion_matrix,
    per_class,
    wilson,
)

__all__ = [
    "Report",
    "ReportError",
    "balanced_accuracy",
    "calibration_error",
    "complete",
    "confusion_matrix",
    "per_class",
    "read",
    "render",
    "wilson",
    "write",
    "write_page",
]
