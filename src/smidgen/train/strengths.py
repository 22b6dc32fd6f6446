"""How strongly training pictures are changed: a value, without torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from smidgen.train.errors import TrainingError

__all__ = ["Augment"]

Outside = Literal["zeros", "border", "reflection"]


@dataclass(frozen=True, slots=True)
class Augment:
    """Strengths of random changes to training pictures; the default changes nothing.

    rotation              up to so many degrees either way
    translation           up to so large a part of the side, along each axis
    scale                 factors between the two, log-uniform; above 1 magnifies
    shear                 up to so many degrees, along each axis
    flip                  half of the pictures are mirrored left to right
    brightness, contrast  added up to ± this on the 0..1 scale; multiplied by up to 1 ± this
    erase                 probability that a rectangle takes the picture's mean colour
    outside               what a moved picture shows beyond its border
    Raises                TrainingError on a strength that means nothing.
    """

    rotation: float = 0.0
    translation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    erase: float = 0.0
    outside: Outside = "zeros"

    def __post_init__(self) -> None:
        if self.outside not in get_args(Outside):
            raise TrainingError(f"no outside '{self.outside}'; there are {', '.join(get_args(Outside))}")
        for name in ("rotation", "translation", "shear", "brightness", "contrast", "erase"):
            if not (value := getattr(self, name)) >= 0:
                raise TrainingError(f"{name}={value}: it must be at least 0")
        low, high = self.scale
        if not 0 < low <= high:
            raise TrainingError(f"scale={low:g}..{high:g}: factors must be above 0, the smaller one first")

    def scaled(self, strength: float) -> Augment:
        """All strengths times a factor from 0 to 1; a flip stays a flip."""
        low, high = (factor**strength for factor in self.scale)
        names = ("rotation", "translation", "shear", "brightness", "contrast", "erase")
        weaker = {name: strength * getattr(self, name) for name in names}
        return dataclasses.replace(self, scale=(low, high), **weaker)

    @property
    def moves(self) -> bool:
        """Whether anything changes where pixels lie."""
        return self.flip or self.scale != (1.0, 1.0) or any((self.rotation, self.translation, self.shear))
