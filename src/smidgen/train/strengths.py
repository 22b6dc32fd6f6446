"""How strongly training pictures are changed: values, without torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from smidgen.train.errors import TrainingError

__all__ = ["Augment", "Mixing"]

Outside = Literal["zeros", "border", "reflection"]

# What `scaled` multiplies, and the largest values that mean something.
_MOST = {
    "rotation": float("inf"),
    "translation": float("inf"),
    "shear": float("inf"),
    "brightness": float("inf"),
    "contrast": float("inf"),
    "saturation": 1.0,
    "hue": 0.5,
    "trivial": 1.0,
    "auto": 1.0,
    "erase": float("inf"),
}


@dataclass(frozen=True, slots=True)
class Augment:
    """Strengths of random changes to training pictures; the default changes nothing.

    rotation              up to so many degrees either way
    translation           up to so large a part of the side, along each axis
    scale                 factors between the two, log-uniform; above 1 magnifies
    shear                 up to so many degrees, along each axis
    crop                  part of the area that is kept and magnified to the whole, between the two; a side
                          is 3/4 to 4/3 of the other. Such a picture is cropped first, then moved
    flip                  half of the pictures are mirrored left to right
    brightness, contrast  added up to ± this on the 0..1 scale; multiplied by up to 1 ± this
    saturation            distance from grey, multiplied by up to 1 ± this; nothing where pictures are grey
    hue                   up to this part of the colour circle, either way; nothing where pictures are grey
    trivial               one random operation a picture, at a random strength up to this part of the paper's
    auto                  share of the pictures that a random sub-policy of AutoAugment changes
    erase                 probability that a rectangle takes the picture's mean colour
    outside               what a moved picture shows beyond its border
    Raises                TrainingError on a strength that means nothing.
    """

    rotation: float = 0.0
    translation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    crop: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    trivial: float = 0.0
    auto: float = 0.0
    erase: float = 0.0
    outside: Outside = "zeros"

    def __post_init__(self) -> None:
        if self.outside not in get_args(Outside):
            raise TrainingError(f"no outside '{self.outside}'; there are {', '.join(get_args(Outside))}")
        for name, most in _MOST.items():
            if not (value := getattr(self, name)) >= 0:
                raise TrainingError(f"{name}={value}: it must be at least 0")
            if value > most:
                raise TrainingError(f"{name}={value}: it must be at most {most:g}")
        low, high = self.scale
        if not 0 < low <= high:
            raise TrainingError(f"scale={low:g}..{high:g}: factors must be above 0, the smaller one first")
        low, high = self.crop
        if not 0 < low <= high <= 1:
            raise TrainingError(f"crop={low:g}..{high:g}: areas must be in 0..1, the smaller one first")

    def scaled(self, strength: float) -> Augment:
        """All strengths times a factor from 0 to 1; a flip stays a flip."""
        pairs = {
            name: tuple(factor**strength for factor in getattr(self, name)) for name in ("scale", "crop")
        }
        weaker = {name: strength * getattr(self, name) for name in _MOST}
        return dataclasses.replace(self, **pairs, **weaker)  # type: ignore[arg-type]

    @property
    def moves(self) -> bool:
        """Whether anything but a policy changes where pixels lie."""
        resized = self.scale != (1.0, 1.0) or self.crop != (1.0, 1.0)
        return self.flip or resized or any((self.rotation, self.translation, self.shear))


@dataclass(frozen=True, slots=True)
class Mixing:
    """How training pictures are mixed with others, labels too; the default mixes none.

    mixup   alpha of the Beta distribution of a blended picture's share; 0 turns it off
    cutmix  the same for the area that stays of a picture into which another one is pasted
    Both on: each picture is mixed one way or the other, with equal probability.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def on(self) -> bool:
        """Whether pictures are mixed at all."""
        return self.mixup > 0 or self.cutmix > 0
