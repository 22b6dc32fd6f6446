"""Pictures in, names out, whatever computes: what the command, streams and servers stand on.

`Predictor` joins a network with any function that runs it. `pictures_in` finds the pictures in folders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.lazy import loaded_from
from smidgen.predict.models import require_sensible
from smidgen.predict.pictures import Picture
from smidgen.predict.predictor import Forward, Prediction, Predictor
from smidgen.predict.softmax import softmax

if TYPE_CHECKING:
    from smidgen.predict.paths import pictures_in

__all__ = [
    "Forward",
    "Picture",
    "Prediction",
    "Predictor",
    "pictures_in",
    "require_sensible",
    "softmax",
]


# Arrays and single pictures need no folders.
__getattr__ = loaded_from(__name__, {"pictures_in": "paths"})
