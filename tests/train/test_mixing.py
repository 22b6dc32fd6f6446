"""Mixed pictures, their shares and their losses are those of the papers, whatever batch they stand in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from smidgen.graph import Preprocess
from smidgen.modules.randomness import sample_keys
from smidgen.train.augment import Augment
from smidgen.train.batches import epoch_batches
from smidgen.train.distil import TEMPERATURE, VIEWS
from smidgen.train.mixing import beta, mixed, partners
from smidgen.train.pixels import Examples
from smidgen.train.strengths import Mixing
from smidgen.train.views import Views
from tiny_training import PLAN, training

CPU = torch.device("cpu")


def keys(count: int) -> Tensor:
    return sample_keys(4, 0, torch.arange(count))


def examples(count: int, side: int = 6) -> Examples:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return Examples(noise, np.arange(count, dtype=np.int64))


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 2.5])
def test_shares_have_the_beta_distribution(alpha: float) -> None:
    draws = torch.rand(4000, 2, generator=torch.Generator().manual_seed(1))
    found = beta(draws, torch.full((4000,), alpha)).numpy()
    assert stats.kstest(found, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_the_ends_of_the_draws_give_numbers() -> None:
    ends = torch.tensor([0.0, 0.25, 0.5, 0.75, 1 - 2**-24])
    draws = torch.cartesian_prod(ends, ends)
    for alpha in (0.01, 1.0, 8.0):
        found = beta(draws, torch.full((25,), alpha))
        assert torch.all((found >= 0) & (found <= 1))


def test_any_training_picture_is_a_partner() -> None:
    counts = torch.bincount(partners(keys(20_000), 20), minlength=20)
    assert len(counts) == 20
    assert counts.min() > 850
    assert counts.max() < 1150


def test_a_blend_holds_its_share_of_each() -> None:
    unit = torch.rand(30, 3, 5, 7), torch.rand(30, 3, 5, 7)
    found, shares = mixed(*unit, keys(30), Mixing(mixup=0.4))
    for one, own, other, share in zip(found, *unit, shares.tolist(), strict=True):
        torch.testing.assert_close(one, share * own + (1 - share) * other)


def test_a_pasted_rectangle_has_the_area_of_its_share() -> None:
    own, other = torch.zeros(300, 1, 32, 32), torch.ones(300, 1, 32, 32)
    found, shares = mixed(own, other, keys(300), Mixing(cutmix=1.0))
    torch.testing.assert_close(found.mean((1, 2, 3)), 1 - shares)
    for one in found[:, 0].bool():
        rows, columns = one.any(1), one.any(0)
        assert torch.equal(one, rows[:, None] & columns[None, :])
        for line in (rows, columns):
            assert int(line.int().diff().abs().sum()) <= 2  # one run of pixels
    assert shares.min() < 0.2
    assert shares.max() > 0.95


def test_both_ways_of_mixing_take_turns() -> None:
    own, other = torch.zeros(1000, 1, 8, 8), torch.ones(1000, 1, 8, 8)
    found, _ = mixed(own, other, keys(1000), Mixing(mixup=1.0, cutmix=1.0))
    blended = ((found > 0) & (found < 1)).flatten(1).any(1)
    assert 420 < blended.sum() < 580


@pytest.mark.parametrize("turns", [None, VIEWS])
def test_a_batch_is_mixed_of_the_views_that_it_names(turns: int | None) -> None:
    """Partners show their own view under their own key, as a teacher answers it."""
    data, plain = examples(23), Preprocess(6, mean=(0.0,) * 3, std=(1.0,) * 3)
    views = Views(data, Augment(rotation=20, flip=True), 5, CPU, Mixing(mixup=1.0))
    epoch = VIEWS + 1
    view = epoch if turns is None else epoch % turns
    for batch in epoch_batches(views, plain, batch_size=8, epoch=epoch, turns=turns):
        own, other = (views.unit(places, views.keys(view, places)) for places in batch.places.unbind(1))
        share = batch.shares[:, :1, None, None]
        torch.testing.assert_close(batch.pictures, share * own + (1 - share) * other)
        torch.testing.assert_close(batch.shares.sum(1), torch.ones(len(batch.labels)))
        assert torch.equal(batch.labels, batch.places)  # picture i is of class i


def test_the_loss_is_that_against_the_mixed_labels() -> None:
    """Cross-entropy as torch has it for labels that are probabilities; with a teacher, its gradient."""
    one = training(dataclasses.replace(PLAN, class_weights=True, distillation=0.0))
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 10), torch.randint(0, 10, (6, 2))
    shares = torch.rand(6, 1)
    shares = torch.cat([shares, 1 - shares], 1)
    mixture = torch.zeros(6, 10).scatter_add_(1, labels, shares)
    expected = F.cross_entropy(
        logits, mixture, one._class_weights, label_smoothing=PLAN.label_smoothing, reduction="none"
    )
    torch.testing.assert_close(one._shared(logits, labels, shares), expected)


def test_a_teacher_pulls_towards_its_mixed_answers() -> None:
    one = training(dataclasses.replace(PLAN, distillation=0.999999))
    torch.manual_seed(0)
    logits, answers = torch.randn(6, 10, requires_grad=True), torch.randn(6, 2, 10)
    labels, shares = torch.randint(0, 10, (6, 2)), torch.tensor([[0.3, 0.7]]).expand(6, 2)
    one._shared(logits, labels, shares, answers).sum().backward()  # type: ignore[no-untyped-call]
    target = (shares[:, :, None] * (answers / TEMPERATURE).softmax(2)).sum(1)
    expected = TEMPERATURE * ((logits.detach() / TEMPERATURE).softmax(1) - target)
    torch.testing.assert_close(logits.grad, expected, rtol=1e-4, atol=1e-5)
