"""The teacher answers for exactly the pictures that its pupils see; the loss is Kullback and Leibler's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from smidgen.graph import Preprocess
from smidgen.modules.randomness import sample_keys
from smidgen.train.augment import Augment, augment
from smidgen.train.batches import epoch_batches
from smidgen.train.distil import TEMPERATURE, VIEWS, Teacher, distilled
from smidgen.train.pixels import Examples, to_unit
from smidgen.train.views import Views

CPU = torch.device("cpu")
OWN = Preprocess(8, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.5))
STRONG = Augment(rotation=20, translation=0.2, flip=True, brightness=0.3)


def linear(channels: int = 3, side: int = 8, classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, classes))


def pictures(count: int, channels: int = 3, side: int = 8) -> Examples:
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    return Examples(noise, random.integers(0, 4, count))


class Counting(nn.Module):
    """Counts its pictures and keeps the last of what it saw."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.seen = inner, 0
        self.last = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        self.last = x
        logits: Tensor = self.inner(x)
        return logits


def test_a_teacher_normalises_as_it_was_trained() -> None:
    """A linear model, worked out in numpy at double precision."""
    model = linear()
    unit = to_unit(torch.from_numpy(pictures(5).pictures))
    layer = model[1]  # type: ignore[index]
    weight, bias = (value.detach().numpy().astype(np.float64) for value in (layer.weight, layer.bias))
    mean, std = (np.array(values)[:, None, None] for values in (OWN.mean, OWN.std))
    expected = ((unit.numpy() - mean) / std).reshape(5, -1) @ weight.T + bias
    found = Teacher(model, (8, 8), OWN)(unit)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_teacher_of_three_channels_sees_grey_pictures_in_each() -> None:
    teacher = Teacher(linear(), (8, 8), OWN)
    grey = to_unit(torch.from_numpy(pictures(4, channels=1).pictures))
    torch.testing.assert_close(teacher(grey), teacher(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("size", [(16, 16), (5, 7), (8, 8), (4, 4)])
def test_pictures_are_resized_to_the_teachers_size(size: tuple[int, int]) -> None:
    model = Counting(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    plain = Preprocess(8, mean=(0.0,) * 3, std=(1.0,) * 3)
    flat = torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].expand(2, 3, 8, 8)
    logits = Teacher(model, size, plain)(flat)
    assert tuple(model.last.shape[2:]) == size
    torch.testing.assert_close(logits, flat[:, :, 0, 0])  # a plain surface stays what it is
    ramp = torch.linspace(0, 1, 8).expand(1, 3, 8, 8)
    Teacher(model, size, plain)(ramp)
    row = model.last[0, 0, 0]
    assert bool((row.diff() > 0).all())  # left stays left
    assert float(row.mean()) == pytest.approx(0.5, abs=1e-5)


def test_a_teacher_does_not_learn() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
    teacher = Teacher(model.train(), (8, 8), OWN)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    unit = torch.rand(6, 3, 8, 8)
    assert not teacher(unit).requires_grad
    assert torch.equal(teacher(unit), teacher(unit))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_answers_are_those_for_each_view_of_each_picture() -> None:
    data, teacher = pictures(11), Teacher(linear(), (8, 8), OWN)
    answers = teacher.answers(Views(data, STRONG, 3, CPU))
    assert answers.shape == (VIEWS, 11, 4)
    for view in (0, 1, VIEWS - 1):
        for place in (0, 6, 10):
            one = to_unit(torch.from_numpy(data.pictures[place : place + 1]))
            seen = augment(one, sample_keys(3, view, torch.tensor([place])), STRONG)
            torch.testing.assert_close(answers[view, place], teacher(seen)[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(answers[0], answers[1])


@pytest.mark.parametrize("epoch", [0, 1, VIEWS - 1, VIEWS, 3 * VIEWS + 2])
def test_pupils_see_in_every_epoch_what_was_answered(epoch: int) -> None:
    """The pupil's batches, taken back to the 0..1 scale, get the answers that are looked up for them."""
    data, teacher = pictures(23), Teacher(linear(), (8, 8), OWN)
    pupil = Preprocess(8, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    views = Views(data, STRONG, 5, CPU)
    answers = teacher.answers(views)
    mean, std = (torch.tensor(values)[:, None, None] for values in (pupil.mean, pupil.std))
    batches = epoch_batches(views, pupil, batch_size=8, epoch=epoch, turns=VIEWS)
    places = []
    for batch in batches:
        expected = teacher(batch.pictures * std + mean)
        own = batch.places[:, 0]
        torch.testing.assert_close(answers[epoch % VIEWS, own], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(data.labels[batch.places.numpy()], batch.labels.numpy())
        places += own.tolist()
    assert sorted(places) == list(range(23))


def test_every_view_is_answered_once() -> None:
    model = Counting(linear())
    data, teacher = pictures(9), Teacher(model, (8, 8), OWN)
    first = teacher.answers(Views(data, STRONG, 3, CPU))
    assert teacher.answers(Views(data, STRONG, 3, CPU)) is first
    assert model.seen == 9 * VIEWS
    assert not torch.equal(teacher.answers(Views(data, STRONG, 4, CPU)), first)
    assert not torch.equal(teacher.answers(Views(data, Augment(), 3, CPU)), first)


numbers = st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3)


@given(numbers, st.floats(-5, 5, width=32), st.floats(0.5, 8))
def test_equal_opinions_cost_nothing(values: list[float], offset: float, temperature: float) -> None:
    """An offset of all logits changes no probability."""
    own = torch.tensor([values])
    assert float(distilled(own, own + offset, temperature)[0]) == pytest.approx(0, abs=1e-4)


@given(numbers, numbers, st.floats(0.5, 8))
def test_the_loss_is_the_divergence_by_hand(own: list[float], taught: list[float], heat: float) -> None:
    p, q = (np.exp(np.array(values) / heat - max(values) / heat) for values in (taught, own))
    p, q = p / p.sum(), q / q.sum()
    expected = float((p * np.log(np.maximum(p, 1e-300) / q)).sum()) * heat**2
    found = float(distilled(torch.tensor([own]), torch.tensor([taught]), heat)[0])
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert found >= -1e-4


def test_the_loss_is_torchs_divergence_sample_by_sample() -> None:
    torch.manual_seed(0)
    own, taught = torch.randn(5, 7), torch.randn(5, 7)
    heat = TEMPERATURE
    expected = F.kl_div((own / heat).log_softmax(1), (taught / heat).softmax(1), reduction="none").sum(1)
    torch.testing.assert_close(distilled(own, taught), expected * heat**2)


def test_the_gradient_pulls_towards_the_teacher() -> None:
    own, taught = torch.zeros(1, 3, requires_grad=True), torch.tensor([[3.0, 0.0, -3.0]])
    distilled(own, taught).sum().backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    # d/dz of T² KL is T (softmax(z/T) - softmax(t/T)): Hinton et al., equation 2 times T².
    expected = TEMPERATURE * (torch.full((1, 3), 1 / 3) - (taught / TEMPERATURE).softmax(1))
    torch.testing.assert_close(own.grad, expected)
