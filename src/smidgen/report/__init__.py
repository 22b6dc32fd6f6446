"""The evidence of a run: `report.json`, the page and the card made from it, their numbers and drawings."""

from smidgen.report.card import card, write_card
from smidgen.report.page import render, write_page
from smidgen.report.schema import Report, ReportError, complete, read, write
from smidgen.report.standing import Standing, advice, standing
from smidgen.report.statistics import (
    balanced_accuracy,
    calibration_error,
    confusion_matrix,
    per_class,
    probabilities,
    refusal_threshold,
    reliability,
    top_accuracy,
    wilson,
)

__all__ = [
    "Report",
    "ReportError",
    "Standing",
    "advice",
    "balanced_accuracy",
    "calibration_error",
    "card",
    "complete",
    "confusion_matrix",
    "per_class",
    "probabilities",
    "read",
    "refusal_threshold",
    "reliability",
    "render",
    "standing",
    "top_accuracy",
    "wilson",
    "write",
    "write_card",
    "write_page",
]
