"""A Program as a network of ncnn; made without ncnn, which the files are for.

Layers, and their parameters by number: docs/developer-guide/operators.md of Tencent/ncnn; the two files:
docs/developer-guide/param-and-model-file-structure.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from smidgen import graph, modelfile
from smidgen.export.depthwise import ShiftForm, without_shifts
from smidgen.export.pools import written_out
from smidgen.export.usage import INPUT, OUTPUT
from smidgen.graph.leaves import has_no_window, sides
from smidgen.graph.nodes import ActivationKind
from smidgen.program import (
    Affine,
    Array,
    Conv,
    Depthwise,
    Mean,
    Pointwise,
    Pooling,
    Program,
    Run,
    Step,
    Transpose,
    View,
    Weight,
    lower,
)
from smidgen.spec import Shape

__all__ = ["INPUT", "OUTPUT", "NcnnModel", "to_ncnn"]

MAGIC = 7767517  # first line of a .param file
FLOAT32 = (0).to_bytes(4, "little")  # stands before weights that are plain float32

Parameters: TypeAlias = Mapping[int, float | tuple[float, ...]]

# Layers of their own, and what a convolution does itself: 9 says which activation, 10 its bounds. SiLU is not
# among these: ncnn's release of 2026-10-20 refuses it.
_LAYERS: dict[ActivationKind, tuple[str, Parameters]] = {
    "relu": ("ReLU", {}),
    "relu6": ("Clip", {0: 0.0, 1: 6.0}),
    "silu": ("Swish", {}),
    "sigmoid": ("Sigmoid", {}),
}
_FUSED: dict[ActivationKind, Parameters] = {
    "relu": {9: 1},
    "relu6": {9: 3, 10: (0.0, 6.0)},
    "sigmoid": {9: 4},
}

_ADD, _MULTIPLY = {0: 0}, {0: 2}  # of BinaryOp


class NcnnModel(NamedTuple):
    """The two files of ncnn: the text of the .param, the bytes of the .bin."""

    param: str
    bin: bytes

    def write(self, path: Path) -> None:
        """Write `path`, which ends in .param, and the .bin beside it."""
        path.with_suffix(".bin").write_bytes(self.bin)
        path.write_text(self.param, "utf-8")


def to_ncnn(
    network: graph.Network, tensors: Mapping[str, NDArray[Any]], *, shift: ShiftForm = "slices"
) -> NcnnModel:
    """A network of ncnn that answers as the engine does: blob `x`, float32[C, H, W] -> `logits`, one axis.

    For one picture, of the size of the network's input. BatchNorm is folded into convolutions and activations
    are done by them where possible, as the Program has it.

    tensors  weights by state-dict name, float32
    shift    as pad, crop and concat, or as a one-hot depthwise convolution
    Raises   ModelFileError where the tensors are not the network's; ShapeError.
    """
    found = {name: array.shape for name, array in tensors.items()}
    modelfile.check_tensors(network, found, network.name)
    if shift == "depthwise":
        network, tensors = without_shifts(network, tensors)
    return _Listing(lower(network, tensors)).model()


@dataclass(slots=True)
class _Layer:
    kind: str
    inputs: list[str]
    outputs: list[str]
    parameters: Parameters


class _Listing:
    """Layers in order and their weights. The blob of a map is three axes, that of a single pixel one."""

    def __init__(self, program: Program) -> None:
        program.require_float32("the export to ncnn")
        self._program = program
        self._layers = [_Layer("Input", [], [INPUT], {})]
        self._weights: list[bytes] = []
        shape = program.maps[program.input].shape
        self._blobs = {View(program.input, shape.channels): self._one_axis(INPUT, shape)}
        for step in program.steps:
            self._blobs[step.y] = self._step(step)

    def model(self) -> NcnnModel:
        answer = View(self._program.output, self._program.maps[self._program.output].shape.channels)
        self._layers.append(_Layer("Noop", [self._blob(answer)], [OUTPUT], {}))
        layers = _split(self._layers)
        blobs = sum(len(layer.outputs) for layer in layers)
        lines = [str(MAGIC), f"{len(layers)} {blobs}", *map(_line, range(len(layers)), layers)]
        return NcnnModel("\n".join(lines) + "\n", b"".join(self._weights))

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    def _step(self, step: Step) -> str:
        """List a step; returns the blob that it makes."""
        match step:
            case Conv():
                return self._conv(step)
            case Depthwise():
                return self._depthwise(step)
            case Pooling():
                return self._pooling(step)
            case Mean():
                return self._mean(self._blob(step.x), self._shape(step.x))
            case Pointwise():
                x = self._before(self._blob(step.x), self._shape(step.x), step.runs, step.before)
                if step.factor is not None:
                    x = self._add("BinaryOp", [x, self._blob(step.factor)], _MULTIPLY)
                if step.add is not None:
                    x = self._add("BinaryOp", [x, self._blob(step.add)], _ADD)
                return self._activated(x, step.then)
            case Transpose():
                return self._add("Flatten", [self._blob(step.x)])
            case _:
                assert_never(step)

    def _conv(self, step: Conv) -> str:
        x = self._before(self._blob(step.x), self._shape(step.x), step.runs, step.before)
        if step.gate is not None:
            x = self._add("BinaryOp", [x, self._blob(step.gate)], _MULTIPLY)
        weight, after = step.weight.numbers, step.after
        fused = _FUSED.get(after.activation, {}) if after.activation else {}
        if _single(self._shape(step.x)) and has_no_window(step.leaf):
            shared = {0: len(weight), 1: int(step.bias is not None), 2: weight.size}
            y = self._add("InnerProduct", [x], {**shared, **fused}, (FLOAT32, weight, _numbers(step.bias)))
        else:
            y = self._windowed("Convolution", x, step, weight, fused)
        if not fused:
            y = self._activated(y, after.activation)
        if after.add is not None:
            y = self._add("BinaryOp", [y, self._blob(after.add)], _ADD)
        return self._activated(y, after.then)

    def _depthwise(self, step: Depthwise) -> str:
        x = self._blob(step.x)
        fused = _FUSED.get(step.activation, {}) if step.activation else {}
        more = {7: step.leaf.groups, **fused}
        y = self._windowed("ConvolutionDepthWise", x, step, step.weight.numbers, more)
        return y if fused else self._activated(y, step.activation)

    def _windowed(self, kind: str, x: str, step: Conv | Depthwise, weight: Array, more: Parameters) -> str:
        leaf, shape = step.leaf, self._shape(step.x)
        (top, bottom), (left, right) = sides(leaf, shape.height, shape.width)
        parameters: Parameters = {
            **more,
            0: leaf.c_out, 1: leaf.kernel, 2: leaf.dilation, 3: leaf.stride,
            4: left, 15: right, 14: top, 16: bottom,
            5: int(step.bias is not None), 6: weight.size,
        }  # fmt: skip
        y = self._add(kind, [self._three_axes(x, shape)], parameters, (FLOAT32, weight, _numbers(step.bias)))
        return self._one_axis(y, self._shape(step.y))

    def _pooling(self, step: Pooling) -> str:
        leaf, shape = step.leaf, self._shape(step.x)
        zeros, top, left, bottom, right, counted = written_out(leaf, shape)
        x = self._padded(self._three_axes(self._blob(step.x), shape), zeros, zeros)
        parameters = {
            0: int(leaf.kind == "avg"), 1: leaf.kernel, 2: leaf.stride,
            3: left, 14: right, 13: top, 15: bottom,
            5: 1, 6: int(counted),  # 5: no padding but this
        }  # fmt: skip
        return self._one_axis(self._add("Pooling", [x], parameters), self._shape(step.y))

    def _mean(self, x: str, shape: Shape) -> str:
        return x if _single(shape) else self._add("Pooling", [x], {0: 1, 4: 1})

    def _before(self, x: str, shape: Shape, runs: Sequence[Run], affine: Affine | None) -> str:
        if runs:
            x = self._shift(runs, x, shape)
        if affine is None:
            return x
        if affine.scale is not None:
            weights = (affine.scale.numbers, _numbers(affine.offset))
            x = self._add("Scale", [x], {0: len(affine.scale.array), 1: 1}, weights)
        return self._activated(x, affine.activation)

    def _shift(self, runs: Sequence[Run], x: str, shape: Shape) -> str:
        """Every run is a window of the padded map."""
        y, z = (max(abs(run[axis]) for run in runs) for axis in (1, 2))
        padded = self._padded(self._three_axes(x, shape), y, z)
        parts, first = [], 0
        for count, dy, dx in runs:
            window = {0: z + dx, 1: y + dy, 2: first, 3: shape.width, 4: shape.height, 5: count}
            parts.append(self._add("Crop", [padded], window))
            first += count
        return self._one_axis(self._joined(parts), shape)

    def _padded(self, x: str, rows: int, columns: int) -> str:
        """Zeros around the map."""
        amounts = {0: rows, 1: rows, 2: columns, 3: columns}
        return self._add("Padding", [x], amounts) if rows or columns else x

    def _activated(self, x: str, kind: ActivationKind | None) -> str:
        return x if kind is None else self._add(_LAYERS[kind][0], [x], _LAYERS[kind][1])

    # ── blobs ────────────────────────────────────────────────────────────────────────────────────────

    def _shape(self, view: View) -> Shape:
        return self._program.maps[view.map].shape._replace(channels=view.channels)

    def _blob(self, view: View) -> str:
        """The blob of a view: what a step has made, or several side by side, joined when first read."""
        if view not in self._blobs:
            parts, first = [], view.first
            while first < view.first + view.channels:
                made = max(
                    part
                    for part in self._blobs
                    if (part.map, part.first) == (view.map, first)
                    and first + part.channels <= view.first + view.channels
                )
                parts.append(self._blobs[made])
                first += made.channels
            self._blobs[view] = self._joined(parts)
        return self._blobs[view]

    def _joined(self, parts: list[str]) -> str:
        return parts[0] if len(parts) == 1 else self._add("Concat", parts)

    def _three_axes(self, x: str, shape: Shape) -> str:
        """For layers that take a map only."""
        return self._add("Reshape", [x], {0: 1, 1: 1, 2: shape.channels}) if _single(shape) else x

    def _one_axis(self, x: str, shape: Shape) -> str:
        """What such a layer makes."""
        return self._add("Flatten", [x]) if _single(shape) else x

    def _add(
        self,
        kind: str,
        inputs: Iterable[str],
        parameters: Parameters | None = None,
        weights: Iterable[Array | bytes | None] = (),
    ) -> str:
        output = f"{len(self._layers)}"
        self._layers.append(_Layer(kind, list(inputs), [output], parameters or {}))
        self._weights += [
            part if isinstance(part, bytes) else np.ascontiguousarray(part, "<f4").tobytes()
            for part in weights
            if part is not None
        ]
        return output


def _numbers(weight: Weight | None) -> Array | None:
    return None if weight is None else weight.numbers


def _single(shape: Shape) -> bool:
    return shape.height * shape.width == 1


def _split(layers: Sequence[_Layer]) -> list[_Layer]:
    """The layers with copies of what several read: in ncnn a blob has one reader."""
    readers = Counter(name for layer in layers for name in layer.inputs)
    copies: dict[str, list[str]] = {}
    found: list[_Layer] = []
    for layer in layers:
        inputs = [copies[name].pop(0) if name in copies else name for name in layer.inputs]
        found.append(_Layer(layer.kind, inputs, layer.outputs, layer.parameters))
        for name in layer.outputs:
            if readers[name] > 1:
                copies[name] = [f"{name}_{number}" for number in range(readers[name])]
                found.append(_Layer("Split", [name], list(copies[name]), {}))
    return found


def _line(number: int, layer: _Layer) -> str:
    """A layer as its line: kind, name, counts and names of blobs, parameters."""
    counts = f"{len(layer.inputs)} {len(layer.outputs)}"
    parameters = (_parameter(key, value) for key, value in layer.parameters.items())
    return " ".join([layer.kind, str(number), counts, *layer.inputs, *layer.outputs, *parameters])


def _parameter(key: int, value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):  # an array: its length first
        return f"{-23300 - key}={len(value)},{','.join(map(str, value))}"
    return f"{key}={value}"
