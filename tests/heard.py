"""A watcher that keeps the news."""

from __future__ import annotations

from smidgen.watch import Watch

__all__ = ["Heard"]


class Heard(Watch):
    """What was said, a line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep the line."""
        self.lines.append(text)
