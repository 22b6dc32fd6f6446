import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from smidgen.modules.randomness import sample_keys, uniform
from smidgen.train import streams
from smidgen.train.augment import Augment, augment
from smidgen.train.moves import affine_matrices

EVERYTHING = Augment(
    rotation=20,
    translation=0.2,
    scale=(0.8, 1.3),
    shear=10,
    flip=True,
    brightness=0.2,
    contrast=0.3,
    saturation=0.4,
    hue=0.1,
    crop=(0.4, 1.0),
    trivial=0.8,
    auto=0.7,
    erase=0.5,
    outside="reflection",
)


def pictures(count: int, channels: int = 3, size: int = 9) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def keys(count: int, epoch: int = 0) -> Tensor:
    return sample_keys(1, epoch, torch.arange(count))


def test_sample_is_changed_alike_in_every_batch() -> None:
    x, k = pictures(33), keys(33)
    whole = augment(x, k, EVERYTHING)
    order = torch.tensor([20, 3, 32, 7])
    assert torch.equal(augment(x[order], k[order], EVERYTHING), whole[order])
    alone = torch.cat([augment(x[i : i + 1], k[i : i + 1], EVERYTHING) for i in range(33)])
    assert torch.equal(alone, whole)


def test_epochs_change_a_picture_differently() -> None:
    x = pictures(4)
    assert not torch.equal(augment(x, keys(4, 0), EVERYTHING), augment(x, keys(4, 1), EVERYTHING))


def test_default_strengths_change_nothing() -> None:
    assert augment(x := pictures(3), keys(3), Augment()) is x


def test_pictures_stay_on_the_unit_scale() -> None:
    y = augment(pictures(200), keys(200), EVERYTHING)
    assert y.min() >= 0
    assert y.max() <= 1


def test_flip_mirrors_about_half_of_the_pictures() -> None:
    x = pictures(400)
    y = augment(x, keys(400), Augment(flip=True))
    mirrored = (y - x.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    kept = (y - x).abs().amax((1, 2, 3)) < 1e-5
    assert torch.all(mirrored ^ kept)
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("size", [(8, 8), (5, 12)])
def test_matrices_are_the_product_of_their_parts(size: tuple[int, int]) -> None:
    height, width = size
    k = keys(16)
    draws = uniform(k, streams.AFFINE, 7).double().numpy()
    whole = dataclasses.replace(EVERYTHING, crop=(1.0, 1.0))
    got = affine_matrices(k, whole, size).double().numpy()
    for row, matrix in zip(draws, got, strict=True):
        signed = 2 * row - 1
        angle = math.radians(20 * signed[0])
        factor = 0.8 * (1.3 / 0.8) ** row[1]
        shear_x, shear_y = (math.tan(math.radians(10 * value)) for value in signed[2:4])
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        shear = np.array([[1, shear_x], [shear_y, 1]])
        linear = factor * turn @ shear @ np.diag([-1 if row[4] < 0.5 else 1, 1])
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        move = 0.2 * np.array([width * signed[5], height * signed[6]])
        np.testing.assert_allclose(matrix[:, :2], linear, atol=1e-5)
        np.testing.assert_allclose(matrix[:, 2], centre + move - linear @ centre, atol=1e-5)


def test_a_picture_moves_where_its_matrix_says() -> None:
    x = torch.zeros(64, 1, 21, 21)
    x[:, :, 6, 9] = 1
    k = keys(64)
    strengths = Augment(rotation=30, translation=0.1, scale=(0.9, 1.2), shear=8)
    y = augment(x, k, strengths)
    rows, columns = torch.meshgrid(torch.arange(21.0), torch.arange(21.0), indexing="ij")
    mass = y.sum((1, 2, 3))
    seen = torch.stack([(y[:, 0] * columns).sum((1, 2)), (y[:, 0] * rows).sum((1, 2))], 1) / mass[:, None]
    expected = affine_matrices(k, strengths, (21, 21)) @ torch.tensor([9.0, 6.0, 1.0])
    assert (seen - expected).abs().max() < 0.5  # bilinear weights of one point sit within its own cell


def test_erasing_hits_the_asked_share_and_leaves_the_rest() -> None:
    x = pictures(1000, channels=1, size=16)
    y = augment(x, keys(1000), Augment(erase=0.3))
    changed = (x != y).flatten(1)
    hit = changed.any(1)
    assert 0.24 < hit.float().mean() < 0.36
    assert changed[hit].float().mean(1).max() < 0.5
    assert torch.equal(x[~hit], y[~hit])


def test_brightness_is_added_and_contrast_multiplied() -> None:
    x = torch.full((500, 1, 2, 2), 0.5)
    brighter = augment(x, keys(500), Augment(brightness=0.2))[:, 0, 0, 0]
    assert brighter.min() == pytest.approx(0.3, abs=0.01)
    assert brighter.max() == pytest.approx(0.7, abs=0.01)
    steeper = augment(x, keys(500), Augment(contrast=0.4))[:, 0, 0, 0]
    assert steeper.min() == pytest.approx(0.3, abs=0.01)
    assert steeper.max() == pytest.approx(0.7, abs=0.01)


def test_strengths_scaled_to_nothing_change_nothing() -> None:
    nothing = dataclasses.replace(EVERYTHING, flip=False).scaled(0)
    assert nothing == Augment(outside=EVERYTHING.outside)
    assert augment(x := pictures(3), keys(3), nothing) is x
    assert EVERYTHING.scaled(1) == EVERYTHING


def test_half_the_strength_lies_between_none_and_all() -> None:
    half = Augment(crop=(0.25, 1.0), saturation=0.4, hue=0.2, trivial=1.0, auto=0.5).scaled(0.5)
    assert half == Augment(crop=(0.5, 1.0), saturation=0.2, hue=0.1, trivial=0.5, auto=0.25)
