"""What can go wrong in a training."""

from __future__ import annotations

from smidgen.spec import SmidgenError

__all__ = ["Interrupted", "TrainingError"]


class TrainingError(SmidgenError):
    """A training that cannot be done as asked, or that went wrong; the message says what to try."""


class Interrupted(Exception):  # noqa: N818 (nothing went wrong)
    """Somebody asked a training to stop; its state is kept."""

    def __init__(self, step: int, total: int) -> None:
        super().__init__(f"stopped after step {step:,} of {total:,}")
        self.step, self.total = step, total
