"""A network: the tree plus what makes it usable on pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smidgen.graph.cost import cost, output_shape
from smidgen.graph.nodes import Node
from smidgen.spec import Cost, Shape

__all__ = ["Aspect", "Interpolation", "Network", "Preprocess"]

Aspect = Literal["crop", "squash", "pad"]
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a decoded picture becomes the network's input.

    resize         of a crop: shorter side in pixels after resizing; squash and pad do not read it
    interpolation  filter of the resizing
    mean, std      per channel, on the 0..1 scale
    aspect         what becomes of a picture whose sides are not in the input's ratio
                   crop: the shorter side becomes `resize`, then the middle of the input shape is cut out
                   squash: each side is resized to the input shape by a factor of its own
                   pad: the picture is resized until it just fits into the input shape, in its middle;
                   the rest has the colour `fill`
    """

    resize: int
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    aspect: Aspect = "crop"

    @property
    def fill(self) -> tuple[int, ...]:
        """Colour around padded pictures, a byte a channel: the mean, which is nearly 0 to the network."""
        return tuple(min(255, max(0, round(255 * part))) for part in self.mean)


@dataclass(frozen=True, slots=True)
class Network:
    """A classifier as a value: equal networks compare equal, and JSON keeps all of it.

    input            shape of one picture as the network sees it
    classes          names in order of the outputs; empty where unknown
    dropped_strides  how many strides, first ones first, became 1
    """

    name: str
    family: str
    tree: Node
    input: Shape
    preprocess: Preprocess
    classes: tuple[str, ...] = ()
    dropped_strides: int = 0

    @property
    def num_classes(self) -> int:
        """Width of the output."""
        return output_shape(self.tree, self.input).channels

    def cost(self) -> Cost:
        """Exact cost of one picture."""
        return cost(self.tree, self.input)
