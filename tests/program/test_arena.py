"""Maps that are needed at the same time lie apart, whatever their types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smidgen
from random_trees import cases, examples
from smidgen.engine.passes import for_engine
from smidgen.graph import Node
from smidgen.program import Ones, Program, lay_out, lower, views_read, views_written
from smidgen.spec import Shape

DTYPES = tuple(map(np.dtype, (np.int8, np.int16, np.float32)))


def moments(program: Program) -> dict[int, tuple[int, int]]:
    """The first and the last step that each map has to do with."""
    found: dict[int, tuple[int, int]] = {}
    for index, step in enumerate(program.steps):
        for view in (*views_read(step), *views_written(step)):
            found[view.map] = (found.get(view.map, (index, index))[0], index)
    return found


@examples(100)
@given(cases(), st.lists(st.sampled_from(DTYPES), min_size=1, max_size=7), st.booleans())
def test_maps_that_several_steps_need_never_overlap(
    case: tuple[Node, Shape], dtypes: list[np.dtype[np.generic]], passed: bool
) -> None:
    tree, shape = case
    network = smidgen.Network("a", "a", tree, shape, smidgen.Preprocess(resize=shape.height))
    program = lower(network, Ones(network))
    if passed:
        program = for_engine(program)
    maps = (one._replace(dtype=dtypes[at % len(dtypes)]) for at, one in enumerate(program.maps))
    program = program._replace(maps=tuple(maps))
    arena, alive = lay_out(program), moments(program)
    placed = [(number, at) for number, at in enumerate(arena.at) if at is not None]
    for number, at in placed:
        one = program.maps[number]
        assert at % one.dtype.itemsize == 0
        assert at + one.bytes <= arena.bytes
        for other, other_at in placed:
            if other == number or other_at >= at + one.bytes or at >= other_at + program.maps[other].bytes:
                continue
            first, second = sorted((alive[number], alive[other]))
            assert first[1] <= second[0]  # a step may write over what it is the last to read


@pytest.mark.parametrize("name", smidgen.names("*net*_b0") + smidgen.names("s*") + smidgen.names("resnet20*"))
def test_the_arena_is_no_larger_than_the_networks_own_peak(name: str) -> None:
    network = smidgen.network(name, resolution=64)
    program = lower(network, Ones(network))
    assert lay_out(program).bytes <= network.cost().peak_bytes
    assert lay_out(for_engine(program)).bytes <= network.cost().peak_bytes
