"""The policies are torchvision's tables, and their moves are torchvision's and kornia's own."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from kornia.geometry.transform import crop_and_resize, warp_affine

from smidgen.modules.randomness import sample_keys, uniform
from smidgen.train import policies, streams
from smidgen.train.moves import affine_matrices, step_matrices
from smidgen.train.policies import IMAGENET, OPERATIONS, Step, policy_steps, recoloured
from smidgen.train.strengths import Augment
from torchvision_oracle import torchvision_models

# Our names of the operations beside torchvision's.
THEIRS = {
    "identity": "Identity",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "rotate": "Rotate",
    "brightness": "Brightness",
    "colour": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "posterise": "Posterize",
    "solarise": "Solarize",
    "autocontrast": "AutoContrast",
    "equalise": "Equalize",
    "invert": "Invert",
}
NUMBERS = {operation.name: number for number, operation in enumerate(OPERATIONS)}


def judge(module: str) -> Any:
    torchvision_models()
    return importlib.import_module(f"torchvision.transforms.{module}")


def keys(count: int) -> torch.Tensor:
    return sample_keys(2, 0, torch.arange(count))


def test_sub_policies_are_those_that_torchvision_has() -> None:
    module = judge("autoaugment")
    theirs = module.AutoAugment(module.AutoAugmentPolicy.IMAGENET).policies
    ours = [tuple((THEIRS[name], chance, level) for name, chance, level in sub) for sub in IMAGENET]
    expected = [tuple((name, chance, level or 0) for name, chance, level in sub) for sub in theirs]
    assert ours == expected


@pytest.mark.parametrize("paper", ["auto", "trivial"])
def test_largest_strengths_are_torchvisions(paper: str) -> None:
    """On ImageNet's 224 pixels; torchvision tells bits that stay and thresholds in bytes, ours what goes."""
    module = judge("autoaugment")
    if paper == "auto":
        space = module.AutoAugment()._augmentation_space(10, (224, 224))
    else:
        space = module.TrivialAugmentWide()._augmentation_space(31)
        assert {THEIRS[row.name] for row in OPERATIONS[:-1]} == set(space)
    for row in OPERATIONS:
        if THEIRS[row.name] not in space:
            continue
        values, signed = space[THEIRS[row.name]]
        last = float(values[-1]) if values.ndim else 0.0
        largest = getattr(row, paper) * (224 if row.name.startswith("translate") else 1)
        expected = {"posterise": 8 - last, "solarise": 1 - last / 255}.get(row.name, last)
        assert largest == pytest.approx(expected), row.name
        assert row.signed == signed


def test_trivial_draws_every_operation_alike_and_up_to_its_strength() -> None:
    (step,) = policy_steps(keys(14_000), Augment(trivial=0.5))
    for number, row in enumerate(OPERATIONS):
        drawn = step.operations == number
        # 1,000 of each, give or take four standard errors; half of those without a strength stay as they are.
        expected = {"identity": 2000, "autocontrast": 500, "equalise": 500, "invert": 0}.get(row.name, 1000)
        assert abs(int(drawn.sum()) - expected) <= 4 * expected**0.5, row.name
        if row.trivial:
            sizes = step.strengths[drawn] / row.trivial
            assert 0.48 < sizes.max() <= 0.5
            assert (sizes.min() < -0.48) == row.signed


def test_auto_does_what_a_drawn_sub_policy_says_as_often_as_it_says() -> None:
    steps = policy_steps(k := keys(20_000), Augment(auto=1.0))
    chosen = (uniform(k, streams.AUTO, 1)[:, 0] * len(IMAGENET)).long()
    for part, step in enumerate(steps):
        for number, sub in enumerate(IMAGENET):
            name, chance, level = sub[part]
            operations = step.operations[chosen == number]
            done = operations == NUMBERS[name]
            assert torch.all(done | (operations == NUMBERS["identity"]))
            assert float(done.float().mean()) == pytest.approx(chance, abs=0.07)
            sizes = step.strengths[chosen == number][done].abs()
            row = OPERATIONS[NUMBERS[name]]
            torch.testing.assert_close(sizes, torch.full_like(sizes, row.auto * level / 9))


def test_auto_changes_the_share_of_pictures_that_is_asked_for() -> None:
    few, all_ = (policy_steps(keys(4000), Augment(auto=share)) for share in (0.25, 1.0))
    counts = [sum(int((step.operations != 0).sum()) for step in steps) for steps in (few, all_)]
    assert counts[0] / counts[1] == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("name", "strength", "theirs"),
    [
        ("rotate", 25.0, {"angle": 25.0}),
        ("shear_x", 0.4, {"shear": [-21.80140948635181, 0.0]}),  # degrees, whose tangents shear the other way
        ("shear_y", -0.3, {"shear": [0.0, 16.69924423399362]}),
        ("translate_x", 0.25, {"translate": [8, 0]}),
        ("translate_y", -0.125, {"translate": [0, -3]}),
    ],
)
def test_moves_of_a_policy_are_torchvisions(name: str, strength: float, theirs: dict[str, Any]) -> None:
    functional = judge("functional")
    picture = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    step = Step(torch.tensor([NUMBERS[name]]), torch.tensor([strength]))
    found = warp_affine(picture, step_matrices(step, (24, 32)), (24, 32))
    asked = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | theirs
    expected = functional.affine(picture, interpolation=functional.InterpolationMode.BILINEAR, **asked)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=0, atol=1e-3)


def test_only_chosen_pictures_are_coloured() -> None:
    unit = torch.rand(3, 3, 8, 8)
    step = Step(torch.tensor([0, NUMBERS["invert"], NUMBERS["rotate"]]), torch.tensor([0.0, 0.0, 30.0]))
    torch.testing.assert_close(recoloured(unit, step), torch.stack([unit[0], 1 - unit[1], unit[2]]))


def test_every_operation_moves_or_colours() -> None:
    moving = {"shear_x", "shear_y", "translate_x", "translate_y", "rotate"}
    assert moving | set(policies._COLOURS) | {"identity"} == set(NUMBERS)


def test_crops_are_kornias_of_the_same_boxes() -> None:
    """Boxes from corner pixel to corner pixel."""
    size, strengths = (20, 30), Augment(crop=(0.3, 0.8))
    unit = torch.rand(40, 3, *size, generator=torch.Generator().manual_seed(0))
    matrices = affine_matrices(keys(40), strengths, size)
    left, top = -matrices[:, 0, 2] / matrices[:, 0, 0], -matrices[:, 1, 2] / matrices[:, 1, 1]
    right, bottom = left + 29 / matrices[:, 0, 0], top + 19 / matrices[:, 1, 1]
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    boxes = torch.stack([torch.stack(corner, dim=1) for corner in corners], dim=1)
    expected = crop_and_resize(unit, boxes, size, align_corners=True)
    torch.testing.assert_close(warp_affine(unit, matrices, size), expected, rtol=0, atol=1e-3)


def test_crops_keep_the_asked_area_and_shape_inside_of_the_picture() -> None:
    matrices = affine_matrices(keys(4000), Augment(crop=(0.3, 0.8)), (50, 50))
    wide, tall = 1 / matrices[:, 0, 0], 1 / matrices[:, 1, 1]
    area, ratio = wide * tall, wide / tall
    assert 0.3 <= area.min() + 1e-5 < 0.31
    assert 0.79 < area.max() <= 0.8 + 1e-5
    assert area.mean() == pytest.approx(0.55, abs=0.03)  # some boxes do not fit, the largest most often
    assert 3 / 4 <= ratio.min() + 1e-5 < 0.76
    assert 1.32 < ratio.max() <= 4 / 3 + 1e-5
    for side, move in ((wide, matrices[:, 0, 2]), (tall, matrices[:, 1, 2])):
        start = -move * side / 49
        assert start.min() >= -1e-6
        assert (start + side).max() <= 1 + 1e-6
