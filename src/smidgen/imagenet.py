"""Names of ImageNet's classes, for published weights and for the pictures of its validation part."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ["imagenet_classes"]


@cache
def imagenet_classes() -> tuple[str, ...]:
    """List the 1000 ImageNet names in order of the outputs; the data file states its source."""
    text = resources.files(__package__).joinpath("imagenet_classes.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))
