"""The tree as an ONNX graph, made node by node, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from smidgen import graph, modelfile
from smidgen.export.depthwise import ShiftForm, without_shifts
from smidgen.export.pools import written_out
from smidgen.export.usage import INPUT, OUTPUT
from smidgen.graph.layers import join
from smidgen.graph.leaves import leaf_cost, sides
from smidgen.spec import DependencyError, Shape

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError:
    raise DependencyError("ONNX needs the package onnx: pip install 'smidgen[export]'") from None

__all__ = ["INPUT", "OUTPUT", "ShiftForm", "to_onnx"]

# Old enough for the runtimes of the last years: nothing here needs a newer one.
OPSET, IR_VERSION = 18, 9


def to_onnx(
    network: graph.Network,
    tensors: Mapping[str, NDArray[Any]],
    *,
    shift: ShiftForm = "slices",
    batch: int | None = None,
) -> onnx.ModelProto:
    """An ONNX model that answers as the network: `x` float32[N, C, H, W] -> `logits`.

    Initialisers have their state-dict names. Height and width are those of the network's input.

    tensors  weights by state-dict name, float32
    shift    as pad, slice and concat, or as a one-hot depthwise convolution
    batch    N; default: any
    Raises   ModelFileError where the tensors are not the network's; ShapeError.
    """
    found = {name: array.shape for name, array in tensors.items()}
    modelfile.check_tensors(network, found, network.name)
    if shift == "depthwise":
        network, tensors = without_shifts(network, tensors)
    listing = _Listing(tensors)
    value, out = listing.visit(network.tree, "", INPUT, network.input)
    listing.name_output(value)
    size = "N" if batch is None else batch
    wide = out[:1] if out.flat else out[:3]
    made = helper.make_graph(
        listing.nodes,
        network.name,
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [size, *network.input[:3]])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [size, *wide])],
        [numpy_helper.from_array(array, name) for name, array in listing.initialisers.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=IR_VERSION, producer_name="smidgen")
    onnx.checker.check_model(model)
    return model


class _Listing:
    """Nodes in order; every value is named PATH:NUMBER, which no tensor is."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, NDArray[Any]] = {}
        self._tensors = tensors

    def visit(self, node: graph.Node, path: str, x: str, shape: Shape) -> tuple[str, Shape]:
        """List `node` on a value of shape `shape`; returns the value that it gives, and its shape."""
        match node:
            case graph.Chain(children=children):
                for name, child in children:
                    x, shape = self.visit(child, join(path, name), x, shape)
                return x, shape
            case graph.Gate(children=children):
                factor, _ = self.visit(graph.Chain(children), path, x, shape)
                return self._add("Mul", path, x, factor), shape
            case graph.Sum(children=children):
                ends = [self.visit(child, join(path, name), x, shape) for name, child in children]
                total, out = ends[0]
                for other, _ in ends[1:]:
                    total = self._add("Add", path, total, other)
                return total, out
            case graph.Concat(children=children):
                ends = [self.visit(child, join(path, name), x, shape) for name, child in children]
                y = self._add("Concat", path, *(value for value, _ in ends), axis=1)
                return y, ends[0][1]._replace(channels=sum(out.channels for _, out in ends))
            case _:
                return self._leaf(node, path, x, shape), leaf_cost(node, shape).out

    def name_output(self, value: str) -> None:
        """Call the value by the name of the graph's output."""
        if self.nodes and list(self.nodes[-1].output) == [value]:  # nothing reads what comes last
            self.nodes[-1].output[0] = OUTPUT
        else:
            self.nodes.append(helper.make_node("Identity", [value], [OUTPUT]))

    def _leaf(self, leaf: graph.Leaf, path: str, x: str, shape: Shape) -> str:
        match leaf:
            case graph.Conv(kernel=kernel, stride=stride, dilation=dilation):
                (top, bottom), (left, right) = sides(leaf, shape.height, shape.width)
                return self._add(
                    "Conv",
                    path,
                    x,
                    *self._weights(path, "weight", *(["bias"] if leaf.bias else [])),
                    kernel_shape=[kernel, kernel],
                    strides=[stride, stride],
                    pads=[top, left, bottom, right],
                    dilations=[dilation, dilation],
                    group=leaf.groups,
                )
            case graph.BatchNorm(eps=eps):
                parts = self._weights(path, "weight", "bias", "running_mean", "running_var")
                return self._add("BatchNormalization", path, x, *parts, epsilon=eps)
            case graph.Linear(bias=bias):
                parts = self._weights(path, "weight", *(["bias"] if bias else []))
                return self._add("Gemm", path, x, *parts, transB=1)
            case graph.Activation(kind=kind):
                return self._activation(kind, path, x)
            case graph.Pool():
                return self._pool(leaf, path, x, shape)
            case graph.GlobalPool():
                return self._add("GlobalAveragePool", path, x)
            case graph.Flatten():
                return self._add("Flatten", path, x, axis=1)
            case graph.Shift(runs=runs):
                return self._shift(runs, path, x, shape)
            case graph.Dropout():
                return x
            case _:
                assert_never(leaf)

    def _activation(self, kind: graph.ActivationKind, path: str, x: str) -> str:
        match kind:
            case "relu":
                return self._add("Relu", path, x)
            case "relu6":
                bounds = [self._constant(f":{bound}", np.float32(bound)) for bound in (0, 6)]
                return self._add("Clip", path, x, *bounds)
            case "sigmoid":
                return self._add("Sigmoid", path, x)
            case "silu":
                return self._add("Mul", path, x, self._add("Sigmoid", path, x))
            case _:
                assert_never(kind)

    def _pool(self, leaf: graph.Pool, path: str, x: str, shape: Shape) -> str:
        zeros, top, left, bottom, right, counted = written_out(leaf, shape)
        x = self._padded(path, x, [zeros] * 4)
        window = {"kernel_shape": [leaf.kernel] * 2, "strides": [leaf.stride] * 2}
        pads = [top, left, bottom, right]
        if leaf.kind == "max":
            return self._add("MaxPool", path, x, **window, pads=pads)
        return self._add("AveragePool", path, x, **window, pads=pads, count_include_pad=int(counted))

    def _shift(self, runs: Iterable[tuple[int, int, int]], path: str, x: str, shape: Shape) -> str:
        """Every run is a window of the padded map."""
        runs = tuple(runs)
        reach_y, reach_x = (max(abs(run[axis]) for run in runs) for axis in (1, 2))
        padded = self._padded(path, x, [reach_y, reach_x, reach_y, reach_x])
        axes = self._constant(":channels, rows, columns", np.array([1, 2, 3]))
        parts, first = [], 0
        for index, (count, dy, dx) in enumerate(runs):
            starts = np.array([first, reach_y + dy, reach_x + dx])
            ends = starts + np.array([count, shape.height, shape.width])
            window = (
                self._constant(f"{path}:{word} {index}", numbers)
                for word, numbers in (("from", starts), ("to", ends))
            )
            parts.append(self._add("Slice", path, padded, *window, axes))
            first += count
        return parts[0] if len(parts) == 1 else self._add("Concat", path, *parts, axis=1)

    def _padded(self, path: str, x: str, sides: list[int]) -> str:
        """Zeros around the map: top, left, bottom, right."""
        if not any(sides):
            return x
        pads = np.array([0, 0, *sides[:2], 0, 0, *sides[2:]])
        return self._add("Pad", path, x, self._constant(f"{path}:pads", pads))

    def _weights(self, path: str, *parts: str) -> list[str]:
        names = [join(path, part) for part in parts]
        return [self._constant(name, self._tensors[name]) for name in names]

    def _constant(self, name: str, array: Any) -> str:
        self.initialisers[name] = np.asarray(array)
        return name

    def _add(self, operator: str, path: str, *inputs: str, **attributes: Any) -> str:
        output = f"{path}:{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output
