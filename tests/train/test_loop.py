import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smidgen.modules import create
from smidgen.scaling import solve
from smidgen.spec import Budget
from smidgen.train.evaluate import accuracy, predict_logits
from smidgen.train.loop import train
from smidgen.train.metrics import EpochRow
from smidgen.train.pixels import Examples, TrainingData
from smidgen.train.recipe import Recipe, TrainingError, recipe
from tiny_training import PLAN, PREPROCESS, digits, network

SHORT = dataclasses.replace(PLAN, epochs=2, clip_grad=0.0, distillation=0.0)


def tiny() -> nn.Module:
    torch.manual_seed(0)
    body = (nn.Conv2d(1, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(8, 10))


def trained(model: nn.Module, seed: int = 0, plan: Recipe = SHORT) -> dict[str, Tensor]:
    train(model, plan, TrainingData(digits(0, 100), digits(100, 150), PREPROCESS), seed=seed)
    return model.state_dict()


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ["shiftresnet20_e1", "squeezenet1_1"])
def test_same_seed_gives_bit_identical_weights(name: str) -> None:
    states = []
    for disturbance in (1, 2):
        torch.manual_seed(7)
        model = create(network(name))
        torch.manual_seed(disturbance)  # dropout draws from the seed of the training, not from here
        plan = dataclasses.replace(SHORT, epochs=1, batch_size=32)
        states.append(trained(model, plan=plan))
    assert equal(*states)


def test_another_seed_gives_other_weights() -> None:
    assert not equal(trained(tiny(), 0), trained(tiny(), 1))


def test_the_last_row_describes_the_model_that_is_left() -> None:
    model, val = tiny(), digits(100, 150)
    history = train(model, SHORT, TrainingData(digits(0, 100), val, PREPROCESS))
    assert not model.training
    assert history.last.val_accuracy == accuracy(predict_logits(model, val.pictures, PREPROCESS), val.labels)


def test_callbacks_see_every_step_and_epoch() -> None:
    steps: list[tuple[int, int]] = []
    rows: list[EpochRow] = []
    history = train(
        tiny(), SHORT, TrainingData(digits(0, 50), digits(50, 60), PREPROCESS),
        on_step=lambda done, total: steps.append((done, total)), on_epoch=rows.append,
    )  # fmt: skip
    assert steps == [(done, 8) for done in range(1, 9)]
    assert tuple(rows) == history.rows
    assert [(row.epoch, row.step) for row in rows] == [(1, 4), (2, 8)]


@pytest.mark.parametrize("count", [2, 3, 17, 33])
def test_no_number_of_pictures_leaves_batchnorm_a_lone_sample(count: int) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 10))
    train(model, SHORT, TrainingData(digits(0, count), digits(50, 60), PREPROCESS))


def test_one_picture_is_refused() -> None:
    with pytest.raises(TrainingError, match="1 picture to train on; at least 2"):
        train(tiny(), SHORT, TrainingData(digits(0, 1), digits(50, 60), PREPROCESS))


def test_divergence_says_what_to_try() -> None:
    plan = dataclasses.replace(SHORT, optimiser="sgd", learning_rate=1e25)
    with pytest.raises(TrainingError, match=r"learning rate of 1e\+25; .*--learning-rate 3\.3e\+24"):
        trained(tiny(), plan=plan)


@pytest.mark.parametrize("name", ["efficientnet", "squeezenet", "shiftresnet", "small"])
def test_every_named_recipe_runs(name: str) -> None:
    plan = dataclasses.replace(recipe(name).shortened(1), batch_size=32)
    assert all(value.isfinite().all() for value in trained(tiny(), plan=plan).values())


def test_clipping_bounds_the_step() -> None:
    plan = dataclasses.replace(
        SHORT, epochs=1, optimiser="sgd", momentum=0, learning_rate=1, weight_decay=0, ema_decay=0,
        clip_grad=1e-3, batch_size=100, schedule="steps",
    )  # fmt: skip
    before = {name: value.clone() for name, value in tiny().named_parameters()}
    after = trained(tiny(), plan=plan)
    moved = sum(float((after[name] - value).detach().square().sum()) for name, value in before.items()) ** 0.5
    assert moved == pytest.approx(1e-3, rel=0.01)


def test_eight_epochs_teach_most_digits() -> None:
    net = solve("resnet", Budget(params=30_000), num_classes=10, c_in=1, resolution=8).network
    torch.manual_seed(0)
    plan = recipe("small").shortened(8)
    history = train(create(net), plan, TrainingData(digits(0, 1200), digits(1200, 1797), PREPROCESS))
    assert history.last.val_accuracy > 0.95


def test_class_weights_let_classes_count_alike() -> None:
    """The loss of one epoch in one step, from the initial weights, with weights from the counts by hand."""
    data = digits(0, 100)
    rare = np.flatnonzero(data.labels != 3) if (data.labels == 3).any() else np.arange(100)
    keep = np.concatenate([rare, np.flatnonzero(data.labels == 3)[:1]])
    uneven = Examples(data.pictures[keep], data.labels[keep])
    plan = Recipe(epochs=1, batch_size=100, learning_rate=1e-3, class_weights=True, schedule="steps")
    history = train(tiny(), plan, TrainingData(uneven, digits(100, 150), PREPROCESS))

    labels, counts = uneven.labels, np.bincount(uneven.labels, minlength=10)
    assert counts[3] == 1
    assert counts.min() > 0
    x = (uneven.pictures.transpose(0, 3, 1, 2) / 255 - 0.3) / 0.4
    with torch.no_grad():
        logits = tiny().train()(torch.from_numpy(x).float()).double().numpy()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    weight = len(labels) / (10 * counts)
    expected = -(weight[labels] * log_p[np.arange(len(labels)), labels]).mean()
    assert history.last.train_loss == pytest.approx(expected, rel=1e-4)
    alike = dataclasses.replace(plan, class_weights=False)
    plain = train(tiny(), alike, TrainingData(uneven, digits(100, 150), PREPROCESS))
    assert plain.last.train_loss == pytest.approx(-log_p[np.arange(len(labels)), labels].mean(), rel=1e-4)
