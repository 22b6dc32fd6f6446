"""The training loop: bit-identical for the same seed, machine and threads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.graph import Preprocess
from smidgen.modules.randomness import set_sample_keys
from smidgen.train.average import Average
from smidgen.train.batches import Batch, batch_sizes, epoch_batches
from smidgen.train.evaluate import accuracy, cross_entropy, predict_logits
from smidgen.train.metrics import Row
from smidgen.train.optimiser import learning_rate, optimiser
from smidgen.train.pixels import Pixels
from smidgen.train.recipe import Recipe, TrainingError

__all__ = ["History", "train"]


@dataclass(frozen=True, slots=True)
class History:
    """What a training did, epoch by epoch."""

    rows: tuple[Row, ...]

    @property
    def last(self) -> Row:
        """The last epoch: the one whose weights are kept."""
        return self.rows[-1]


def train(
    model: nn.Module,
    recipe: Recipe,
    train_data: Pixels,
    val_data: Pixels,
    preprocess: Preprocess,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
    on_epoch: Callable[[Row], None] | None = None,
) -> History:
    """Train in place; the model ends in evaluation mode with the weights that would be kept so far.

    on_step   called with (steps done, steps in all) after every step
    on_epoch  called with the row of every finished epoch
    Raises    TrainingError on fewer than two pictures, and when the loss is no longer a number.
    """
    if len(train_data) < 2:
        raise TrainingError(f"{len(train_data)} picture to train on; at least 2 are needed")
    run = _Run(model.to(device), recipe, train_data, preprocess, seed, torch.device(device))
    rows: list[Row] = []
    try:
        for epoch in range(recipe.epochs):
            rows.append(run.row(epoch, val_data, on_step))
            if on_epoch:
                on_epoch(rows[-1])
    finally:
        run.finish()
    return History(tuple(rows))


class _Run:
    """What a training carries from step to step."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        data: Pixels,
        preprocess: Preprocess,
        seed: int,
        device: torch.device,
    ) -> None:
        self.model, self.recipe, self.data, self.preprocess = model, recipe, data, preprocess
        self.seed, self.device = seed, device
        self.optimiser = optimiser(model, recipe)
        self.average = Average(model, recipe.ema_decay) if recipe.ema_decay else None
        self.steps_per_epoch = len(batch_sizes(len(data), recipe.batch_size))
        self.step, self.rate = 0, 0.0
        self.began = time.perf_counter()

    @property
    def kept(self) -> nn.Module:
        """The model that is evaluated and in the end kept."""
        return self.average.model if self.average else self.model

    def row(self, epoch: int, val_data: Pixels, on_step: Callable[[int, int], None] | None) -> Row:
        """Train one epoch and evaluate what would be kept after it."""
        loss, correct = self._epoch(epoch, on_step)
        logits = predict_logits(self.kept, val_data.pictures, self.preprocess, device=self.device)
        return Row(
            epoch=epoch + 1,
            step=self.step,
            lr=self.rate,
            train_loss=loss,
            train_accuracy=correct,
            val_loss=cross_entropy(logits, val_data.labels),
            val_accuracy=accuracy(logits, val_data.labels),
            seconds=time.perf_counter() - self.began,
        )

    def _epoch(self, epoch: int, on_step: Callable[[int, int], None] | None) -> tuple[float, float]:
        """Every picture once; returns the mean loss and the accuracy on the way."""
        self.model.train()
        loss = torch.zeros((), device=self.device)
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        for batch in epoch_batches(
            self.data,
            self.preprocess,
            self.recipe.augment,
            batch_size=self.recipe.batch_size,
            seed=self.seed,
            epoch=epoch,
            device=self.device,
        ):
            batch_loss, logits = self._update(batch)
            loss += batch_loss * len(batch.labels)
            correct += (logits.argmax(1) == batch.labels).sum()
            if on_step:
                on_step(self.step, self.steps_per_epoch * self.recipe.epochs)
        mean = loss.item() / len(self.data)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is {mean} after {self.step} steps (epoch {epoch + 1}); "
                f"try a third of the learning rate {self.recipe.learning_rate:g}, or clip_grad=1"
            )
        return mean, correct.item() / len(self.data)

    def _update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        self.rate = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        set_sample_keys(self.model, batch.keys)
        logits = self.model(batch.pictures)
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_grad:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.optimiser.step()
        if self.average:
            self.average.update()
        self.step += 1
        return loss.detach(), logits.detach()

    def finish(self) -> None:
        """Leave the kept weights in the model."""
        if self.average:
            self.average.store(self.model)
        set_sample_keys(self.model, None)
        self.model.eval()
