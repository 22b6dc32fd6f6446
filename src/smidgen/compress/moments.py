"""What values a network's channels take, told by its weights alone.

A BatchNorm says what mean and variance its channels had over the pictures of its training. Normal ones give
those behind an activation. Where no BatchNorm is, they follow from the weights.

Source   Nagel et al. 2019, arXiv:1906.04721, section 4.2, for rectifiers; a quadrature serves any activation
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, assert_never

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from smidgen.compress.wiring import Tensors, Wiring
from smidgen.graph import (
    Activation,
    ActivationKind,
    BatchNorm,
    Chain,
    Children,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Leaf,
    Linear,
    Network,
    Node,
    Pool,
    Shift,
    Sum,
)
from smidgen.graph.layers import join
from smidgen.graph.leaves import leaf_tensors

__all__ = ["Floats", "Moments", "floats", "moments", "norm_scale", "weight"]

Floats: TypeAlias = NDArray[np.float64]

_POINTS = 32  # of the quadrature; the kinks of a rectifier need some
_TINY = 1e-30  # nothing is divided by 0


class Moments(NamedTuple):
    """Mean and variance of each channel of a map, over pictures and pixels: float64[channels] each."""

    mean: Floats
    variance: Floats

    @property
    def square(self) -> Floats:
        """Mean of the squares."""
        return self.mean**2 + self.variance

    def times(self, other: Moments) -> Moments:
        """Moments of a product whose factors know nothing of each other."""
        mean = self.mean * other.mean
        return Moments(mean, self.square * other.square - mean**2)

    def through(self, kind: ActivationKind) -> Moments:
        """Moments behind an activation, of normal values before it."""
        points, weights = hermegauss(_POINTS)
        weights = weights / weights.sum()
        y = _activated(kind, self.mean[:, None] + np.sqrt(self.variance)[:, None] * points)
        mean = (y * weights).sum(1)
        return Moments(mean, np.maximum((y**2 * weights).sum(1) - mean**2, 0))


def moments(network: Network, tensors: Tensors, wiring: Wiring) -> dict[str, Moments]:
    """What comes into each convolution and linear layer, by its dotted name, where pictures are normalised.

    tensors  by their state-dict names; what a layer without any, such as a new head, gives is guessed
    """
    walk = _Walk(tensors, wiring)
    colours = np.zeros(network.input.channels)
    walk.visit(network.tree, "", Moments(colours, colours + 1))
    return walk.found


def weight(tensors: Tensors, leaf: Conv | Linear, path: str) -> Floats:
    """float64[groups, outputs of a group, inputs of a group, kernel²]; without a tensor, all are alike."""
    groups = leaf.groups if isinstance(leaf, Conv) else 1
    _, shape, _ = next(leaf_tensors(leaf))
    there = join(path, "weight") in tensors
    whole = floats(tensors, path, "weight") if there else np.full(shape, leaf.c_out**-0.5)
    return whole.reshape(groups, leaf.c_out // groups, leaf.c_in // groups, -1)


def norm_scale(tensors: Tensors, norm: BatchNorm, path: str) -> Floats:
    """What a BatchNorm multiplies each channel with."""
    variance = floats(tensors, path, "running_var") + norm.eps
    return floats(tensors, path, "weight") / np.sqrt(np.maximum(variance, _TINY))


def floats(tensors: Tensors, path: str, name: str) -> Floats:
    """A tensor of a layer, to reckon with."""
    return np.asarray(tensors[join(path, name)], np.float64)


class _Walk:
    """One walk over a tree; `found` is what `moments` returns."""

    def __init__(self, tensors: Tensors, wiring: Wiring) -> None:
        self._tensors = tensors
        self._wiring = wiring
        self.found: dict[str, Moments] = {}

    def visit(self, node: Node, path: str, x: Moments) -> Moments:
        match node:
            case Chain(children=children):
                return self._chain(children, path, x)
            case Sum(children=children):
                means, variances = self._branches(children, path, x)
                return Moments(np.sum(means, 0), np.sum(variances, 0))
            case Gate(children=children):
                return x.times(self._chain(children, path, x))
            case Concat(children=children):
                means, variances = self._branches(children, path, x)
                return Moments(np.concatenate(means), np.concatenate(variances))
            case _:
                return self._leaf(node, path, x)

    def _chain(self, children: Children, path: str, x: Moments) -> Moments:
        for name, child in children:
            x = self.visit(child, join(path, name), x)
        return x

    def _branches(self, children: Children, path: str, x: Moments) -> tuple[list[Floats], list[Floats]]:
        found = [self.visit(child, join(path, name), x) for name, child in children]
        return [one.mean for one in found], [one.variance for one in found]

    def _leaf(self, leaf: Leaf, path: str, x: Moments) -> Moments:
        match leaf:
            case Conv() | Linear():
                self.found[path] = x
                return self._mixed(leaf, path, x)
            case BatchNorm():
                scale = norm_scale(self._tensors, leaf, path)
                variance = scale**2 * floats(self._tensors, path, "running_var")
                return Moments(floats(self._tensors, path, "bias"), variance)
            case Activation(kind=kind):
                return x.through(kind)
            case Flatten():
                times = len(self._wiring.outs[path]) // len(x.mean)
                return Moments(np.repeat(x.mean, times), np.repeat(x.variance, times))
            case Dropout() | Shift() | Pool() | GlobalPool():
                return x
            case _:
                assert_never(leaf)

    def _mixed(self, leaf: Conv | Linear, path: str, x: Moments) -> Moments:
        """Sums of what knows nothing of each other."""
        factors = weight(self._tensors, leaf, path)
        groups = len(factors)
        mean = np.einsum("goik,gi->go", factors, x.mean.reshape(groups, -1)).ravel()
        variance = np.einsum("goik,gi->go", factors**2, x.variance.reshape(groups, -1)).ravel()
        biased = join(path, "bias") in self._tensors
        return Moments(mean + floats(self._tensors, path, "bias") if biased else mean, variance)


def _activated(kind: ActivationKind, x: Floats) -> Floats:
    match kind:
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case "sigmoid":
            return _sigmoid(x)
        case "silu":
            return x * _sigmoid(x)
        case _:
            assert_never(kind)


def _sigmoid(x: Floats) -> Floats:
    half: Floats = (1 + np.tanh(x / 2)) / 2  # cannot overflow
    return half
