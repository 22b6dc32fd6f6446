"""What the native library does not know is refused, and never taken for something else."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from smidgen import native
from smidgen.native import network, norm, shift
from smidgen.native.network import KINDS, SPACES, Op, View

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")

UNKNOWN = 99


def an_op() -> Op:
    """A copy of one number from the input to the output."""
    x, y = (View(0, 1, 1, 1, 1, 1, SPACES[space]) for space in ("input", "output"))
    return Op(kind=KINDS["pointwise"], x=x, y=y, kernel=1, stride=1, dilation=1)


def ran(op: Op) -> float:
    """What becomes of a 5; 7 where nothing is written."""
    x, y, memory = np.full(1, 5, np.float32), np.full(1, 7, np.float32), np.empty(64, np.float32)
    start = memory.ctypes.data + -memory.ctypes.data % 64
    network.run((Op * 1)(op), 0, 1, (x.ctypes.data, 1), (y.ctypes.data, 1), start, 1)
    return float(y[0])


def kind(op: Op) -> None:
    op.kind = UNKNOWN


def type_(op: Op) -> None:
    op.type = UNKNOWN


def before(op: Op) -> None:
    op.before = UNKNOWN


def activation(op: Op) -> None:
    op.activation = UNKNOWN


def then(op: Op) -> None:
    op.then = -1


def pool(op: Op) -> None:
    op.pool = UNKNOWN


def winograd(op: Op) -> None:
    op.winograd = 2


def space(op: Op) -> None:
    op.gate.space = UNKNOWN


def first(op: Op) -> None:
    """Only depthwise convolutions have a convolution that makes what they read."""
    op.first = ctypes.addressof(op)


BROKEN = [kind, type_, before, activation, then, pool, winograd, space, first]


def test_a_known_operation_runs() -> None:
    assert network.run_floats((Op * 1)(an_op()), 0, 1) >= 0
    assert ran(an_op()) == 5


@pytest.mark.parametrize("break_", BROKEN)
def test_an_operation_with_something_unknown_is_refused(break_: Callable[[Op], None]) -> None:
    op = an_op()
    break_(op)
    with pytest.raises(ValueError, match="that it lacks"):
        network.run_floats((Op * 1)(op), 0, 1)
    with pytest.raises(ValueError, match="that it lacks"):
        ran(op)


def test_only_depthwise_convolutions_are_asked_for_their_sums() -> None:
    with pytest.raises(ValueError, match="that it lacks"):
        network.op_sums(an_op())


def test_an_unknown_type_of_a_shift_is_refused_and_nothing_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shift.FLOAT_TYPES, "float8", UNKNOWN)
    conv = shift.ShiftConv(shift.Maps(1, 1, 1, 1, True), (1, 0, 0), 1, 1, "float8")
    x = y = np.full(4, 7, np.float32)
    address = x.ctypes.data
    with pytest.raises(ValueError, match="that it lacks"):
        shift.shift_conv_forward(conv, address, address, None, address, 1)
    with pytest.raises(ValueError, match="that it lacks"):
        shift.shift_conv_backward(conv, address, address, address, address, None, None, 1)
    assert (y == 7).all()


@pytest.mark.parametrize("number", [network.ACTIVATIONS["sigmoid"], UNKNOWN])
def test_a_norm_refuses_activations_that_do_not_follow_norms(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(norm.ACTIVATIONS, "other", number)
    numbers = np.full(8, 7, np.float32)
    at = numbers.ctypes.data
    given = norm.Norm(1, 1, at, at, 1e-5, "other")
    with pytest.raises(ValueError, match="that it lacks"):
        norm.norm_forward(given, at, at, at, at, 1)
    with pytest.raises(ValueError, match="that it lacks"):
        norm.norm_backward(given, at, at, at, at, at, at, at, 1)
    assert (numbers == 7).all()
