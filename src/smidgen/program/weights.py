"""Weights with their norms: what a convolution multiplies by, and adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import nodes
from smidgen.program.steps import Affine
from smidgen.program.values import Array, Weight
from smidgen.spec import ModelFileError

__all__ = ["Weights", "is_depthwise"]


class Weights:
    """Weights of a network by state-dict name, and what its BatchNorms make of them, kept once it is made.

    The norms are computed in float64.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors = tensors
        self._found: dict[tuple[str, str], tuple[Weight, Weight | None]] = {}

    def convolution(
        self, layer: str, leaf: nodes.Conv | nodes.Linear, norm: tuple[str, nodes.BatchNorm] | None
    ) -> tuple[Weight, Weight | None]:
        """Weight [c_out, c_in, k, k], without a copy where possible, and bias of a convolution with the norm
        that stands behind it.

        Raises   ModelFileError where the norm makes no numbers.
        """
        key = (layer, norm[0] if norm else "")
        if key not in self._found:
            array = _four_axes(self._tensors[f"{layer}.weight"].astype(np.float32, copy=False), leaf)
            scale, bias = None, self._tensors[f"{layer}.bias"] if leaf.bias else None
            if norm:
                scale, offset = self._norm(*norm)
                bias = offset if bias is None else bias * scale + offset
            made = Weight(array, None if scale is None else _float32(scale))
            self._found[key] = made, None if bias is None else Weight(_float32(bias))
        return self._found[key]

    def affine(
        self, norm: tuple[str, nodes.BatchNorm] | None, activation: nodes.ActivationKind | None
    ) -> Affine | None:
        """A norm that no convolution stands before, and the activation behind it; None for neither.

        Raises   as `convolution`.
        """
        if norm is None:
            return Affine(activation=activation) if activation else None
        scale, offset = (Weight(_float32(numbers)) for numbers in self._norm(*norm))
        return Affine(scale, offset, activation, norm[0])

    def _norm(self, layer: str, leaf: nodes.BatchNorm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale and offset of a BatchNorm at inference: float64[channels] each."""
        weight, bias, mean, variance = (
            self._tensors[f"{layer}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + leaf.eps)
        offset = bias - mean * scale
        if not np.isfinite(scale + offset).all():
            raise ModelFileError(f"{layer}: statistics that make no numbers; its weights are damaged")
        return scale, offset


def _float32(numbers: NDArray[Any]) -> Array:
    return numbers.astype(np.float32)


def _four_axes(weight: Array, leaf: nodes.Conv | nodes.Linear) -> Array:
    """A Linear as a 1x1 convolution; groups, other than one for each channel, as a block-diagonal weight."""
    if isinstance(leaf, nodes.Linear):
        return weight[:, :, None, None]
    if leaf.groups == 1 or is_depthwise(leaf):
        return weight
    full = np.zeros((leaf.c_out, leaf.c_in, leaf.kernel, leaf.kernel), np.float32)
    outs, ins = leaf.c_out // leaf.groups, leaf.c_in // leaf.groups
    for group in range(leaf.groups):
        rows = slice(group * outs, (group + 1) * outs)
        full[rows, group * ins : (group + 1) * ins] = weight[rows]
    return full


def is_depthwise(leaf: nodes.Conv) -> bool:
    """Whether every channel has a kernel of its own."""
    return leaf.groups == leaf.c_in == leaf.c_out and leaf.groups > 1
