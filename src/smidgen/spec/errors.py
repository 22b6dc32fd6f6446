"""The errors that a user meets, and the one kind of warning."""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "DataError",
    "DependencyError",
    "ModelFileError",
    "PictureError",
    "ShapeError",
    "SmidgenError",
    "SmidgenWarning",
    "StoppedError",
    "TreeError",
    "UnknownNameError",
    "WeightsError",
]


class SmidgenError(Exception):
    """A user's mistake or a broken input: one line saying what came, what was needed, what to do."""


class SmidgenWarning(RuntimeWarning, UserWarning):
    """Something that works, but not as well as it could: one line that a user should see, from us alone."""


class UnknownNameError(SmidgenError):
    """A name that does not exist; the message offers the nearest that do."""


class TreeError(SmidgenError):
    """A tree of nodes that breaks the rules in `graph.validate`."""


class ShapeError(SmidgenError):
    """A tensor or node met a shape that it cannot take."""


class BudgetError(SmidgenError):
    """A budget that cannot be read, or that nothing can meet."""


class PictureError(SmidgenError):
    """A picture that cannot be decoded, or that is refused."""


class DataError(SmidgenError):
    """A data set that cannot be trained or evaluated on."""


class ModelFileError(SmidgenError):
    """A model file that is missing, truncated, foreign or too new."""


class WeightsError(SmidgenError):
    """Published weights that do not exist, cannot be fetched, or fail their hash."""


class StoppedError(SmidgenError):
    """Somebody asked long work to end; what was done is kept, and the message says how to go on."""


class DependencyError(SmidgenError):
    """An optional dependency is absent; the message says what to install."""
