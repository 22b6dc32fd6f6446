"""Weights as the kernels read them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from smidgen.native import network as native
from smidgen.program import Affine, Array, Conv, Depthwise, Run

__all__ = ["Packed", "winograd"]

BLOCK = 2**22  # floats of memory that is asked for at a time, where packed weights lie


class Packed:
    """Weights as the kernels read them, made when first asked for and shared by the programs of all sizes.

    They are known by the layer that they come from, and by what a pass has taken of it: that is the same at
    every size. So one `Packed` belongs to the weights of one network: others need another. Every method gives
    the address of the first number.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._block = np.empty(0, np.float32)

    def weight(self, step: Conv) -> int:
        """Of a convolution, for its way."""
        if step.way == "winograd":
            return self._of(step, "winograd", lambda: self._winograd(step))
        return self._of(step, "weight", lambda: self._direct(step))

    def depthwise(self, step: Depthwise) -> int:
        """Of a depthwise convolution: float32[kernel, kernel, channels]."""
        return self._of(
            step, "weight", lambda: np.ascontiguousarray(step.weight.numbers[:, 0].transpose(1, 2, 0))
        )

    def bias(self, step: Conv | Depthwise) -> int | None:
        """With zeros behind it, as far as the kernels read; None where there is none."""
        bias = step.bias
        return None if bias is None else self._of(step, "bias", lambda: _padded(bias.numbers))

    def norm(self, affine: Affine) -> tuple[int | None, int | None]:
        """Scale and offset of what happens to an input; None for 1 and 0."""
        scale, offset = affine.scale, affine.offset
        if scale is None or offset is None:
            return None, None
        return (
            self._address((affine.layer, "scale"), lambda: scale.numbers),
            self._address((affine.layer, "offset"), lambda: offset.numbers),
        )

    def runs(self, runs: tuple[Run, ...]) -> int:
        """int64[runs, 3]; they are short, and known by themselves."""
        return self._address(runs, lambda: np.array(runs, np.int64))

    def _of(self, step: Conv | Depthwise, part: str, make: Callable[[], Array]) -> int:
        """Address of a part of a step's layer."""
        taken = (step.pixels, step.reordered) if isinstance(step, Conv) else ()
        return self._address((step.layer, part, *taken), make)

    def _address(self, key: Hashable, make: Callable[[], Any]) -> int:
        """Address of what `make` makes the first time."""
        if key not in self._kept:
            self._kept[key] = make()
        return int(self._kept[key].ctypes.data)

    def _direct(self, step: Conv) -> Array:
        leaf, weight = step.leaf, step.weight
        matrix = weight.array.transpose(0, 2, 3, 1).reshape(leaf.c_out, leaf.c_in * leaf.kernel**2)
        return self._pack([matrix], weight.scale)

    def _winograd(self, step: Conv) -> Array:
        """The 36 products of a panel of columns one after the other, as they are read."""
        matrices = winograd(step.weight.array)
        if step.weight.scale is not None:
            matrices = matrices * step.weight.scale[:, None]
        products, columns, depth = matrices.shape
        panel = native.padded(1)
        whole = columns // panel * panel
        panels = matrices[:, :whole].reshape(products, -1, panel, depth).swapaxes(0, 1)
        return self._pack([panels.reshape(-1, depth), *matrices[:, whole:]])

    def _pack(self, matrices: Sequence[Array], scale: Array | None = None) -> Array:
        """Matrices float32[columns, depth], each column times its scale, as the convolutions read them, one
        after the other.
        """
        factors = None if scale is None else scale.ctypes.data
        sizes = [native.packed_floats(*matrix.shape) for matrix in matrices]
        packed = self._room(sum(sizes))
        first = packed.ctypes.data
        for matrix, size in zip(matrices, sizes, strict=True):
            dense = np.ascontiguousarray(matrix)
            columns, depth = dense.shape
            native.pack(dense.ctypes.data, factors, columns, depth, first)
            first += 4 * size
        return packed

    def _room(self, floats: int) -> Array:
        """So many floats of a block that weights share: numpy asks for large pages where it is asked for
        much, and the first touch of small ones takes longer than packing.
        """
        if floats > len(self._block):
            self._block = np.empty(max(floats, BLOCK), np.float32)
        room, self._block = np.split(self._block, [floats])
        return room


def _padded(bias: Array) -> Array:
    """With zeros behind it, as far as the kernels read."""
    room = np.zeros(native.padded(len(bias)), np.float32)
    room[: len(bias)] = bias
    return room


# The weights of F(4x4, 3x3) at the points 0, ±√½, ±√2 and infinity, as native/infer/winograd.hpp orders them.
# A row is (1, p, p²) over the derivative of x (x² - ½) (x² - 2) at p. Lavin and Gray 2016, arXiv:1509.09308.
_WINOGRAD = np.array(
    [(1, p, p * p) for p in (0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))] + [(0, 0, 1)]
) / np.array([[1], [-1.5], [-1.5], [6], [6], [1]])


def winograd(weight: Array) -> Array:
    """float32[c_out, c_in, 3, 3] -> float32[36, c_out, c_in], the factors of the 36 products of a tile."""
    products = np.kron(_WINOGRAD, _WINOGRAD) @ weight.reshape(-1, 9).T.astype(np.float64)
    factors: Array = products.astype(np.float32).reshape(36, *weight.shape[:2])
    return factors
