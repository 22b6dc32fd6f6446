"""The error of this layer."""

from smidgen.spec import SmidgenError

__all__ = ["TrainingError"]


class TrainingError(SmidgenError):
    """A training that cannot start, or that went wrong; the message says what to try."""
