"""What a Program says of a network, and that a pass can say it otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import smidgen
from random_trees import cases, examples
from smidgen.engine.compiled import Compiled
from smidgen.engine.packing import Packed
from smidgen.engine.passes import for_engine
from smidgen.graph import Node, tensors
from smidgen.program import (
    FLOAT32,
    Affine,
    After,
    Array,
    Conv,
    Depthwise,
    Encoding,
    Pointwise,
    Program,
    Step,
    Weight,
    draw_weights,
    inner,
    interpret,
    lay_out,
    learnt,
    lower,
)
from smidgen.spec import Shape

INT8, UINT8, INT32 = np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.int32)
NAMES = ["efficientnet_b0", "squeezenet1_1_complex_bypass", "shiftnet_c", "shiftresnet20_e3", "resnet20"]


def program_of(name: str, resolution: int = 64) -> Program:
    network = smidgen.network(name, num_classes=5, resolution=resolution)
    return lower(network, draw_weights(network))


def random_program(case: tuple[Node, Shape]) -> Program:
    tree, shape = case
    network = smidgen.Network("a", "a", tree, shape, smidgen.Preprocess(resize=shape.height))
    return lower(network, draw_weights(network))


def picture(program: Program) -> Array:
    shape = program.maps[program.input].shape
    return np.random.default_rng(0).standard_normal((2, *shape[:3]), np.float32)


def all_steps(program: Program) -> list[Step]:
    """With those that a depthwise convolution does on its way."""
    firsts = [step.first for step in program.steps if isinstance(step, Depthwise) and step.first]
    return [*program.steps, *firsts]


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_steps_have_numbers_of_their_own_also_behind_the_engines_passes(name: str) -> None:
    plain = program_of(name)
    passed = for_engine(plain)
    for program in (plain, passed):
        ids = [step.id for step in all_steps(program)]
        assert len(set(ids)) == len(ids)
        assert program.next_id not in ids
    before = {step.id: step for step in plain.steps}
    for step in all_steps(passed):
        if step.id in before:
            assert (type(step), step.layer) == (type(before[step.id]), before[step.id].layer)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_step_has_learnt_belongs_to_the_layer_that_it_came_from(name: str) -> None:
    network = smidgen.network(name, num_classes=5, resolution=64)
    shapes = {tensor.name: tensor.shape for tensor in tensors(network.tree)}
    for step in lower(network, draw_weights(network)).steps:
        if isinstance(step, Conv | Depthwise):
            shape = shapes[f"{step.layer}.weight"]
            assert step.weight.array.shape == (*shape, 1, 1)[:4]


@examples(50)
@given(cases())
def test_no_step_is_made_for_one_machine_before_its_passes(case: tuple[Node, Shape]) -> None:
    program = random_program(case)
    for step in program.steps:
        if isinstance(step, Conv):
            assert (step.way, step.pixels, step.reordered) == ("direct", None, False)
        if isinstance(step, Depthwise):
            assert (step.mean, step.first) == (None, None)


@examples(50)
@given(cases())
def test_the_engines_passes_change_no_answer(case: tuple[Node, Shape]) -> None:
    program = random_program(case)
    x = picture(program)
    plain = interpret(program, x)
    scale = max(1, np.abs(plain).max())
    np.testing.assert_allclose(interpret(for_engine(program), x), plain, rtol=1e-4, atol=1e-4 * scale)


def test_a_program_can_be_made_at_another_size() -> None:
    network = smidgen.network("resnet20", num_classes=5)
    program = lower(network, draw_weights(network), Shape(3, 40, 24))
    assert program.maps[program.input].shape == Shape(3, 40, 24)
    assert interpret(program, picture(program)).shape == (2, 5)


# ── values on the way ────────────────────────────────────────────────────────────────────────────────


def heard(program: Program) -> dict[int, list[str]]:
    """Names of the values that the interpreter makes on the way, by step."""
    found: dict[int, list[str]] = {step.id: [] for step in all_steps(program)}
    interpret(program, picture(program), lambda step, name, _: found[step.id].append(name))
    return found


@examples(50)
@given(cases())
def test_the_interpreter_makes_the_values_that_a_step_names_in_their_order(case: tuple[Node, Shape]) -> None:
    for program in (random_program(case), for_engine(random_program(case))):
        assert heard(program) == {step.id: list(inner(step)) for step in all_steps(program)}


def test_the_last_that_a_step_makes_is_its_output_and_has_no_name_on_the_way() -> None:
    step = next(step for step in program_of("resnet20").steps if isinstance(step, Conv) and step.after.add)
    assert step.after == After(None, step.after.add, "relu")  # He et al. 2015: the sum, then ReLU
    assert inner(step) == ("convolved", "added")
    assert inner(step._replace(after=After())) == ()
    assert inner(step._replace(after=After("relu"))) == ("convolved",)
    assert inner(step._replace(gate=step.x, after=After("silu", step.x))) == (
        "gated",
        "convolved",
        "activated",
    )
    norm = Affine(Weight(np.ones(16)), Weight(np.ones(16)), "relu")
    assert inner(step._replace(before=norm)) == ("normed", "before", "convolved", "added")
    assert inner(step._replace(before=Affine(activation="relu"))) == ("before", "convolved", "added")


def test_what_is_heard_before_an_activation_is_negative_too() -> None:
    program, least = program_of("squeezenet1_1_complex_bypass"), []
    interpret(program, picture(program), lambda _, name, value: least.append((name, value.min())))
    assert all(value < 0 for name, value in least if name == "convolved")


# ── types ────────────────────────────────────────────────────────────────────────────────────────────


def to_integers(program: Program) -> Program:
    """A toy of a pass: every map, weight and value on the way has a type, as quantisation will give them."""
    maps = tuple(one._replace(dtype=INT8, scale=0.5 + at, zero=at) for at, one in enumerate(program.maps))
    return program._replace(maps=maps, steps=tuple(map(step_to_integers, program.steps)))


def step_to_integers(step: Step) -> Step:
    if isinstance(step, Conv | Depthwise | Pointwise):
        inside = {name: Encoding(UINT8, 0.25, number) for number, name in enumerate(inner(step))}
        step = step._replace(inside=inside)
    if isinstance(step, Conv | Depthwise):
        bias = None if step.bias is None else integers(step.bias, INT32)
        step = step._replace(weight=integers(step.weight, INT8), bias=bias)
    if isinstance(step, Conv | Pointwise) and step.before is not None and step.before.scale is not None:
        assert step.before.offset is not None
        scale, offset = (integers(weight, INT32) for weight in (step.before.scale, step.before.offset))
        step = step._replace(before=step.before._replace(scale=scale, offset=offset))
    return step


def integers(weight: Weight, dtype: np.dtype[np.generic]) -> Weight:
    numbers = weight.numbers
    scale = np.abs(numbers).reshape(len(numbers), -1).max(1) / 127 + np.float32(1e-9)
    shape = (-1, *[1] * (numbers.ndim - 1))
    return Weight(np.round(numbers / scale.reshape(shape)).astype(dtype), scale.astype(np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_can_give_every_map_weight_and_value_on_the_way_a_type(name: str) -> None:
    program = program_of(name)
    assert program.dtypes() == {FLOAT32}
    typed = to_integers(program)
    assert typed.dtypes() == {INT8, UINT8, INT32}
    assert [(one.scale, one.zero) for one in typed.maps] == [(0.5 + at, at) for at in range(len(typed.maps))]
    assert [one.shape for one in typed.maps] == [one.shape for one in program.maps]
    for old, new in zip(program.steps, typed.steps, strict=True):
        assert (old.id, old.layer, old.x, old.y) == (new.id, new.layer, new.x, new.y)
        for part, weight in learnt(new).items():
            assert weight.dtype in (INT8, INT32)
            largest = np.abs(learnt(old)[part].numbers).max()
            np.testing.assert_allclose(weight.numbers, learnt(old)[part].numbers, atol=largest / 200)
        if isinstance(new, Conv | Depthwise | Pointwise):
            assert list(new.inside) == list(inner(new))
            assert all(one.dtype == UINT8 for one in new.inside.values())


@pytest.mark.parametrize("name", NAMES)
def test_passes_of_the_engine_keep_types(name: str) -> None:
    typed = for_engine(to_integers(program_of(name)))
    assert typed.dtypes() == {INT8, UINT8, INT32}
    assert typed.macs == for_engine(program_of(name)).macs


def test_maps_of_bytes_take_a_quarter_of_the_arena() -> None:
    program = program_of("efficientnet_b0")
    in_bytes = program._replace(maps=tuple(one._replace(dtype=INT8) for one in program.maps))
    floats, integer = lay_out(program).bytes, lay_out(in_bytes).bytes
    assert floats / 4 <= integer < 1.01 * floats / 4


def test_who_knows_floats_only_refuses_integers() -> None:
    typed = to_integers(program_of("resnet20"))
    with pytest.raises(ValueError, match="program of int32, int8, uint8 came; the interpreter does float32"):
        interpret(typed, picture(typed))
    with pytest.raises(ValueError, match="the engine does float32 only"):
        Compiled(for_engine(typed), Packed())
