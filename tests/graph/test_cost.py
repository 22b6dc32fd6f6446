"""Cost of a tree against oracles that do not share its code: torch's shapes, and a simulated execution."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from random_trees import classifiers, examples, maps, same_size_trees, trees
from smidgen import families
from smidgen.families.efficientnet import mbconv
from smidgen.families.squeezenet import fire
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Node,
    Pool,
    Shift,
    Sum,
    cost,
    is_identity,
    output_shape,
    pad,
)
from smidgen.spec import Shape, ShapeError

RELU = Activation("relu")


def peak(tree: Node, x: Shape) -> int:
    return cost(tree, x).peak_bytes


# ── an oracle for peak memory: trace the tree, place the values in buffers, look how long each lives ──


@dataclass(eq=False)
class Value:
    bytes: int
    buffer: list[Value] = field(default_factory=list)  # the values that share one piece of memory
    size: int = 0

    def home(self) -> Value:
        return self.buffer[0].home() if self.buffer else self


@dataclass(eq=False)
class Operation:
    reads: list[Value]
    out: Value
    overwrites: Value | None = None  # may write its result here, where nobody reads it any more
    must: bool = False  # adds into an accumulator, or ends a Concat: allocates nothing


class Trace:
    def __init__(self, tree: Node, x: Shape) -> None:
        self.operations: list[Operation] = []
        self.slices: list[tuple[Value, Value, int]] = []  # value, Concat result, first own operation
        self.input = Value(4 * x.numel)
        self.output = self.run(tree, self.input, x)[0]

    def emit(self, reads: list[Value], out: Value, over: Value | None = None, must: bool = False) -> Value:
        self.operations.append(Operation(reads, out, over, must))
        return out

    def run(self, node: Node, v: Value, x: Shape) -> tuple[Value, Shape]:
        match node:
            case Chain(children=children):
                for _, child in children:
                    v, x = self.run(child, v, x)
                return v, x
            case Sum(children=children):
                return self.add(children, v, x)
            case Gate(children=children):
                factor, _ = self.run(Chain(children), v, x)
                return self.emit([v, factor], Value(v.bytes), v), x
            case Concat(children=children):
                return self.side_by_side(children, v, x)
            case _:
                out = output_shape(node, x)
                overwrites = v if isinstance(node, BatchNorm | Activation | Dropout | Flatten) else None
                return self.emit([v], Value(4 * out.numel), overwrites), out

    def add(self, children: tuple[tuple[str, Node], ...], v: Value, x: Shape) -> tuple[Value, Shape]:
        results = []
        total: Value | None = None
        for _, child in children:
            result, out = self.run(child, v, x)
            results.append(result)
            if result is v:
                continue
            total = result if total is None else self.emit([total, result], Value(result.bytes), total, True)
        if total is None:  # identities only: one pass over x
            return (self.emit([v], Value(v.bytes), v) if len(children) > 1 else v), x
        for _ in range(sum(result is v for result in results)):
            total = self.emit([total, v], Value(total.bytes), total, True)
        return total, out

    def side_by_side(self, children: tuple[tuple[str, Node], ...], v: Value, x: Shape) -> tuple[Value, Shape]:
        result, parts, channels = Value(0), [], 0
        for _, child in children:
            start = len(self.operations)
            part, out = self.run(child, v, x)
            if part is v:
                part = self.emit([v], Value(v.bytes))
            self.slices.append((part, result, start))
            parts.append(part)
            channels += out.channels
        result.bytes = sum(part.bytes for part in parts)
        return self.emit(parts, result, must=True), out._replace(channels=channels)

    def last_read(self, v: Value) -> int:
        if v is self.output:
            return len(self.operations)
        return max((t for t, op in enumerate(self.operations) if v in op.reads), default=-1)

    def place(self) -> None:
        """Decide which values share a buffer."""
        producer = {op.out: (t, op) for t, op in enumerate(self.operations)}
        for value, result, start in reversed(self.slices):  # outer Concats first
            while True:  # back through what works in place, to the operation that writes into the result
                value.buffer = [result]
                t, op = producer[value]
                before = op.overwrites
                if before is None or before not in producer or producer[before][0] < start:
                    break
                if not op.must and self.last_read(before) > t:
                    break
                value = before
        for t, op in enumerate(self.operations):
            before = op.overwrites
            if before is None or op.out.buffer:
                continue
            if op.must or self.last_read(before) <= t:
                op.out.buffer = [before]

    def peak(self) -> int:
        self.place()
        lives: dict[Value, list[int]] = {self.input.home(): [-1, -1]}
        for t, op in enumerate(self.operations):
            for value in (*op.reads, op.out):
                life = lives.setdefault(value.home(), [t, t])
                life[1] = t
        lives[self.output.home()][1] = len(self.operations)
        return max(
            sum(buffer.bytes for buffer, (first, last) in lives.items() if first <= t <= last)
            for t in range(-1, len(self.operations) + 1)
        )


@examples(200)
@given(st.data())
def test_peak_equals_that_of_a_simulated_execution(data: st.DataObject) -> None:
    x = data.draw(maps())
    tree, _ = data.draw(st.one_of(same_size_trees(x, 4), trees(x), classifiers(x)))
    assert peak(tree, x) == Trace(tree, x).peak()


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_b0",
        "efficientnet_v2_s",
        "squeezenet1_0_complex_bypass",
        "shiftnet_c",
        "shiftresnet20_e3",
    ],
)
def test_peak_of_networks_equals_that_of_a_simulated_execution(name: str) -> None:
    net = families.network(name, resolution=64)
    assert net.cost().peak_bytes == Trace(net.tree, net.input).peak()


@examples(100)
@given(st.data())
def test_random_trees_make_the_shapes_that_their_generator_says(data: st.DataObject) -> None:
    x = data.draw(maps())
    tree, out = data.draw(st.one_of(trees(x), classifiers(x)))
    assert output_shape(tree, x) == out


# ── peak memory by hand; a float has 4 bytes ─────────────────────────────────────────────────────────


def test_peak_of_the_identity_is_the_input() -> None:
    assert peak(Chain(), Shape(3, 5, 7)) == 4 * 105


def test_peak_of_a_convolution_is_input_and_output() -> None:
    assert peak(Conv(3, 8, 3, 2, pad(1)), Shape(3, 8, 8)) == 4 * (3 * 64 + 8 * 16)


def test_peak_of_in_place_leaves_is_their_input() -> None:
    tree = Chain((("0", BatchNorm(4)), ("1", RELU), ("2", Dropout(0.1)), ("3", Flatten())))
    assert peak(tree, Shape(4, 6, 6)) == 4 * 144


def test_peak_of_relu_beside_an_identity_is_two_maps() -> None:
    assert peak(Sum((("", Chain()), ("0", RELU))), Shape(4, 6, 6)) == 2 * 4 * 144


def test_peak_of_a_sum_of_identities_is_one_map() -> None:
    assert peak(Sum((("", Chain()), ("", Chain()))), Shape(4, 6, 6)) == 4 * 144


def test_peak_of_a_sum_of_identities_in_a_concat_counts_the_slice() -> None:
    double = Sum((("", Chain()), ("", Chain())))
    assert peak(Concat((("", double), ("", double))), Shape(1, 2, 2)) == 4 * (4 + 8)


def test_peak_of_squaring_by_a_gate_is_one_map() -> None:
    assert peak(Gate((("", Chain()),)), Shape(4, 6, 6)) == 4 * 144


def test_peak_of_mbconv_is_its_input_and_two_expanded_maps() -> None:
    # x 8 x 16 x 16 = 2048 stays for the residual; while the depthwise convolution runs, its input and
    # output of 6 * 8 channels are alive: 12288 each.
    assert peak(mbconv(8, 8, 3, 1, 6), Shape(8, 16, 16)) == 4 * (2048 + 12288 + 12288)


def test_peak_of_mbconv_without_residual_frees_its_input() -> None:
    # x dies after the expansion; 48 x 16 x 16 and the strided 48 x 8 x 8.
    assert peak(mbconv(8, 16, 3, 2, 6), Shape(8, 16, 16)) == 4 * (12288 + 3072)


def test_peak_of_fire_is_the_squeezed_map_and_the_result() -> None:
    # x 64 x 8 x 8 = 4096 and squeezed 16 x 8 x 8 = 1024; then squeezed and the result 128 x 8 x 8 = 8192.
    assert peak(fire(64, 16, 64, 64), Shape(64, 8, 8)) == 4 * (1024 + 8192)


def test_concat_result_comes_alive_at_the_first_write_only() -> None:
    inner = Chain((("a", Conv(1, 10)), ("b", Conv(10, 1))))
    # x 100, mid 1000: 1100; mid 1000 and result 100: 1100, not 1200.
    assert peak(Concat((("0", inner),)), Shape(1, 10, 10)) == 4 * 1100


def test_last_branch_of_a_concat_spares_an_input_that_is_still_needed() -> None:
    # x stays for the identity: x, the copy that ReLU makes of it, and the result.
    branch = Chain((("a", RELU), ("b", Conv(1, 1))))
    tree = Sum((("", Chain()), ("side", Concat((("0", branch),)))))
    assert peak(tree, Shape(1, 5, 5)) == 4 * (25 + 25 + 25)


def test_what_works_in_place_stays_in_its_slice_of_the_concat() -> None:
    # x 25 and the result 50; the sum of one branch adds no buffer.
    branch = Chain((("a", Conv(1, 2)), ("b", Sum((("0", RELU),)))))
    assert peak(Concat((("0", branch),)), Shape(1, 5, 5)) == 4 * (25 + 50)


def test_peak_of_b0_is_its_first_strided_depthwise_convolution() -> None:
    # 96 x 112 x 112 in, 96 x 56 x 56 out; no residual.
    assert families.network("efficientnet_b0").cost().peak_bytes == 4 * 96 * (112 * 112 + 56 * 56)


def test_peak_of_squeezenet_is_its_first_pool() -> None:
    # 96 x 109 x 109 in, 96 x 54 x 54 out (ceil mode).
    assert families.network("squeezenet1_0").cost().peak_bytes == 4 * 96 * (109 * 109 + 54 * 54)


# ── counts by hand ───────────────────────────────────────────────────────────────────────────────────


def test_convolution_counts_weights_biases_and_macs() -> None:
    total = cost(Conv(6, 4, 3, 2, pad(1), groups=2, bias=True), Shape(6, 8, 8))
    assert (total.params, total.macs) == (4 * 3 * 9 + 4, 4 * 3 * 9 * 16)


def test_linear_counts_weights_biases_and_macs() -> None:
    total = cost(Linear(6, 4), Shape(6, flat=True))
    assert (total.params, total.macs) == (28, 24)


def test_norm_has_statistics_and_a_counter_as_buffers() -> None:
    total = cost(BatchNorm(6), Shape(6, 8, 8))
    assert (total.params, total.buffers, total.macs) == (12, 13, 0)


def test_shift_is_free() -> None:
    total = cost(Shift(((3, 0, 1), (3, 1, 0))), Shape(6, 8, 8))
    assert (total.params, total.macs, total.elementwise) == (0, 0, 0)


def test_sums_and_gates_are_elementwise_work() -> None:
    x = Shape(2, 3, 3)
    assert cost(Sum((("", Chain()), ("", Chain()), ("0", Conv(2, 2)))), x).elementwise == 2 * 18
    assert cost(Gate((("0", GlobalPool()),)), x).elementwise == 18 + 18  # product and means


def test_repeated_object_counts_every_time() -> None:
    block = Conv(4, 4)
    tree = Chain((("0", block), ("1", block)))
    assert cost(tree, Shape(4, 2, 2)).params == 32


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────


def torch_shape(module: torch.nn.Module, x: Shape) -> Shape | None:
    try:
        with torch.device("meta"):
            out = module(torch.empty(1, *x[:3]))
    except RuntimeError:
        return None
    return Shape(*out.shape[1:])


def tree_shape(node: Node, x: Shape) -> Shape | None:
    try:
        return output_shape(node, x)
    except ShapeError:
        return None


@examples(200)
@given(
    x=maps(12), kernel=st.integers(1, 5), stride=st.integers(1, 4), padding=st.integers(0, 2),
    dilation=st.integers(1, 3),
)  # fmt: skip
def test_conv_shape_equals_torch(x: Shape, kernel: int, stride: int, padding: int, dilation: int) -> None:
    leaf = Conv(x.channels, 5, kernel, stride, pad(padding), dilation)
    module = torch.nn.Conv2d(x.channels, 5, kernel, stride, padding, dilation, device="meta")
    assert tree_shape(leaf, x) == torch_shape(module, x)


@examples(200)
@given(
    x=maps(12), kernel=st.integers(1, 5), stride=st.integers(1, 4), padding=st.integers(0, 2),
    ceil_mode=st.booleans(),
)  # fmt: skip
def test_pool_shape_equals_torch(x: Shape, kernel: int, stride: int, padding: int, ceil_mode: bool) -> None:
    padding = min(padding, kernel // 2)
    leaf = Pool("max", kernel, stride, padding, ceil_mode)
    module = torch.nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    assert tree_shape(leaf, x) == torch_shape(module, x)


@pytest.mark.parametrize(("size", "stride", "expected"), [(224, 2, 112), (225, 2, 113), (7, 3, 3), (1, 2, 1)])
def test_same_padding_divides_the_size_and_rounds_up(size: int, stride: int, expected: int) -> None:
    tree = Conv(1, 1, 5, stride, padding="same")
    assert output_shape(tree, Shape(1, size, size)) == Shape(1, expected, expected)


@pytest.mark.parametrize(
    ("tree", "x"),
    [
        (Conv(3, 4), Shape(4, 8, 8)),
        (Conv(3, 4), Shape(3, flat=True)),
        (Conv(3, 4, 9), Shape(3, 8, 8)),
        (BatchNorm(3), Shape(4, 8, 8)),
        (BatchNorm(3), Shape(3, flat=True)),  # torch's BatchNorm2d refuses it too
        (Shift(((2, 0, 1),)), Shape(3, 8, 8)),
        (Shift(((3, 0, 1),)), Shape(3, flat=True)),
        (Pool("max", 3, 2), Shape(3, 2, 2)),
        (Pool("max", 3, 2), Shape(3, flat=True)),
        (GlobalPool(), Shape(3, flat=True)),
        (Linear(3, 4), Shape(3, 1, 1)),
        (Linear(3, 4), Shape(5, flat=True)),
        (Sum((("", Chain()), ("0", Conv(3, 4)))), Shape(3, 8, 8)),
        (Sum((("", Chain()), ("0", Flatten()))), Shape(3, 1, 1)),
        (Sum((("", Chain()), ("0", GlobalPool()))), Shape(3, 8, 8)),  # no broadcasting
        (Gate((("0", Conv(3, 1)),)), Shape(3, 8, 8)),
        (Gate((("0", Pool("avg", 2, 2)),)), Shape(3, 8, 8)),
        # [N, C, H, W] * [N, C] broadcasts wrongly or not at all
        (Gate((("0", GlobalPool()), ("1", Flatten()))), Shape(3, 8, 8)),
        (Concat((("", Chain()), ("0", Pool("max", 2, 2)))), Shape(3, 8, 8)),
        (Concat((("", Chain()), ("0", Flatten()))), Shape(3, 1, 1)),
    ],
)
def test_what_does_not_fit_is_a_shape_error_of_one_line(tree: Node, x: Shape) -> None:
    with pytest.raises(ShapeError) as caught:
        cost(tree, x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Chain(), True),
        (Chain((("", Chain()), ("a", Chain()))), True),
        (Sum((("", Chain()),)), True),
        (Sum((("", Chain()), ("", Chain()))), False),  # twice x
        (Concat((("", Chain()),)), False),
        (Chain((("0", RELU),)), False),
        (Dropout(0.0), False),
    ],
)
def test_identity_is_what_hands_its_input_on(node: Node, expected: bool) -> None:
    assert is_identity(node) is expected


@examples(50)
@given(st.data())
def test_cost_is_not_fooled_by_shared_objects(data: st.DataObject) -> None:
    x = data.draw(maps())
    part, out = data.draw(same_size_trees(x))
    shared = Concat((("0", part), ("1", part), ("2", part)))
    assert cost(shared, x).params == 3 * cost(part, x).params
    assert output_shape(shared, x).channels == 3 * out.channels
