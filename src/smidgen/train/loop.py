"""The training loop: it can stop after any step and go on, bit-identical on the same machine and threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen.modules import set_sample_keys
from smidgen.train import checkpoint
from smidgen.train.average import Average
from smidgen.train.batches import Batch, batch_sizes, epoch_batches
from smidgen.train.checkpoint import Checkpoint, CheckpointError
from smidgen.train.distil import VIEWS, Teacher, distilled
from smidgen.train.errors import Interrupted
from smidgen.train.evaluate import accuracy, balanced_accuracy, cross_entropy, predict_logits
from smidgen.train.hardware import Hardware
from smidgen.train.memory import keep_freed
from smidgen.train.metrics import EpochRow
from smidgen.train.optimiser import learning_rate, load_state, optimiser, set_rate, state
from smidgen.train.parallel import ALONE
from smidgen.train.pixels import Examples, TrainingData
from smidgen.train.recipe import Recipe, TrainingError
from smidgen.train.replay import Replayed, recorder
from smidgen.train.stopwatch import Stopwatch, Timer
from smidgen.train.views import Views

__all__ = ["History", "Training", "train"]

# Steps between looks at the sum of the losses: on a GPU every look waits for the device.
LOOK_EVERY = 20
# A mean loss above so many times that of a blind guess is a training that has run away; networks without
# BatchNorm may be at ten times for an epoch and come back.
RUN_AWAY = 100.0
# Times the patience of a measurement after which the first step of all is enough.
LONG = 20.0


@dataclass(frozen=True, slots=True)
class History:
    """What a training did, epoch by epoch."""

    rows: tuple[EpochRow, ...]

    @property
    def last(self) -> EpochRow:
        """The last epoch: the one whose weights are kept."""
        return self.rows[-1]


def train(
    model: nn.Module,
    recipe: Recipe,
    data: TrainingData,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
    on_epoch: Callable[[EpochRow], None] | None = None,
) -> History:
    """Train in place; the model ends in evaluation mode with the weights that would be kept so far.

    on_step   called with (steps done, steps in all) after every step
    on_epoch  called with the row of every finished epoch
    Raises    TrainingError on fewer than two pictures, and when the loss is no longer a number.
    """
    place = torch.device(device)
    hardware = Hardware(place, ALONE, recorder(model, recipe, place, ALONE))
    training = Training(model, recipe, data, seed=seed, hardware=hardware)
    try:
        training.run(on_step=on_step, on_epoch=on_epoch)
    finally:
        training.finish()
    return training.history


class Training:
    """One training of one model, from any step to any later one.

    rows   of the finished epochs
    step   optimiser steps done
    timer  where the time went
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        data: TrainingData,
        *,
        seed: int = 0,
        teacher: Teacher | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        if len(data.train) < 2:
            raise TrainingError(f"{len(data.train)} picture to train on; at least 2 are needed")
        self.recipe, self.data, self.seed, self.teacher = recipe, data, seed, teacher
        hardware = hardware or Hardware()
        self.device, self.world = hardware.device, hardware.world
        self.views = Views(data.train, recipe.augment, seed, self.device, recipe.mixing)
        if self.device.type == "cpu":
            keep_freed()
        self.model = self.world.share(model.to(self.device))
        self.average = Average(model, recipe.ema_decay) if recipe.ema_decay else None
        self.optimiser = optimiser(model, recipe, recorded=hardware.recorder is not None)
        self.steps_per_epoch = len(batch_sizes(len(data.train), recipe.batch_size))
        self.rows: list[EpochRow] = []
        self.step, self.rate = 0, 0.0
        self.timer = Timer()
        self._learn = Replayed(hardware.recorder, self.timer)
        self._clock = Stopwatch()
        self._class_weights = _class_weights(data.train, self.device) if recipe.class_weights else None
        self._losses = torch.zeros((), device=self.device)
        self._correct = torch.zeros((), dtype=torch.int64, device=self.device)

    @property
    def history(self) -> History:
        """What was done so far."""
        return History(tuple(self.rows))

    @property
    def kept(self) -> nn.Module:
        """The model that is evaluated and in the end kept."""
        return self.average.model if self.average else self.model

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_per_epoch * self.recipe.epochs

    def run(
        self,
        until: int | None = None,
        *,
        on_step: Callable[[int, int], None] | None = None,
        on_epoch: Callable[[EpochRow], None] | None = None,
        checkpoints: Path | None = None,
        every: float = math.inf,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until so many epochs are finished.

        until        default: all of the recipe's
        checkpoints  folder for the state at the end, when stopped, and every so many seconds
        stopping     asked after every step; when it says so, the state is kept and Interrupted raised
        Raises       TrainingError when the loss is no longer a number, the last checkpoint being the last
                     good state; CheckpointError where the disk refuses.
        """
        until = self.recipe.epochs if until is None else until
        saved = Stopwatch()

        def keep() -> None:
            if checkpoints is not None:
                with self.timer("checkpoint"):
                    self.require_sound()
                    state = self.state()
                    if self.world.leads:
                        checkpoint.write(checkpoints, state)
            saved.restart()

        self._clock.restart()
        while len(self.rows) < until:
            for batch in self._batches():
                self._update(batch)
                if on_step:
                    on_step(self.step, self.total_steps)
                if self.step % LOOK_EVERY == 0:
                    self._require_finite()
                if self.step % self.steps_per_epoch:  # an epoch's end is kept with its row
                    if self.world.any(stopping()):
                        keep()
                        raise Interrupted(self.step, self.total_steps)
                    if self.world.any(saved.seconds >= every):
                        keep()
            self.rows.append(self._row())
            if on_epoch:
                on_epoch(self.rows[-1])
            stop = self.world.any(stopping())
            if stop or len(self.rows) == until or self.world.any(saved.seconds >= every):
                keep()
            if stop and len(self.rows) < until:
                raise Interrupted(self.step, self.total_steps)

    def epoch_seconds(self, patience: float) -> float:
        """Estimate of one epoch with its validation, from so many seconds of training in earnest.

        A short epoch is measured as a whole, the second one: the first allocates and chooses kernels. A step
        that takes much longer than that is the measure itself. Validation is a pass forward, a third of a
        step's work.
        """
        steps, unsettled, whole, clock, slow = 0, 0, Stopwatch(), Stopwatch(), False
        for batch in self._batches():
            counts = self._learn.settled
            self._update(batch)
            steps += 1
            if not (counts and self._learn.settled):
                clock, unsettled = Stopwatch(), steps
            elif slow := clock.seconds > patience:
                break
            if slow := self._learn.recorder is None and whole.seconds > LONG * patience:
                break
        if steps == self.steps_per_epoch and not slow:
            self.rows.append(self._row())
            clock = Stopwatch()
            self.run(until=2)
            return clock.seconds
        self._require_finite()  # on a GPU, this waits for the work that was handed over
        told = (clock.seconds, steps - unsettled) if steps > unsettled else (whole.seconds, steps)
        training = told[0] / told[1] * self.steps_per_epoch
        return training * (1 + len(self.data.val) / (3 * len(self.data.train)))

    def state(self) -> Checkpoint:
        """Everything that the rest of the training depends on."""
        tensors = {
            "model": self.model.state_dict(),
            "optimiser": state(self.optimiser)
            | {"losses": self.world.sum(self._losses), "correct": self.world.sum(self._correct)},
        }
        if self.average:
            tensors["average"] = self.average.model.state_dict()
        position = {
            "rows": [row.to_dict() for row in self.rows],
            "average_steps": self.average.steps if self.average else 0,
            "seconds": self._clock.seconds,
            "recipe": self.recipe.to_dict(),
            "seed": self.seed,
        }
        return Checkpoint(self.step, position, tensors)

    def restore(self, found: Checkpoint) -> None:
        """Go back to a state that `state` made.

        Raises   CheckpointError where it belongs to another training.
        """
        position, tensors = found.position, found.tensors
        if position["recipe"] != self.recipe.to_dict() or position["seed"] != self.seed:
            raise CheckpointError("the checkpoint is of another recipe or seed; train into a new folder")
        try:
            self.model.load_state_dict(tensors["model"])
            load_state(self.optimiser, tensors["optimiser"])
            mine = int(self.world.leads)  # the sums are those of all processes: one of them carries them on
            self._losses.copy_(mine * tensors["optimiser"]["losses"])
            self._correct.copy_(mine * tensors["optimiser"]["correct"])
            if self.average:
                self.average.model.load_state_dict(tensors["average"])
                self.average.steps = position["average_steps"]
        except (KeyError, RuntimeError) as error:
            reason = str(error).split("\n")[0]
            raise CheckpointError(
                f"the checkpoint is of another network ({reason}); train into a new folder"
            ) from None
        self._learn.forget()  # the optimiser's tensors are new ones
        self.step = found.step
        self.rows = [EpochRow(**row) for row in position["rows"]]
        self._clock = Stopwatch(position["seconds"])

    def require_sound(self) -> None:
        """Raise TrainingError where a loss or a weight is no longer a number."""
        self._require_finite()
        for name, value in self.model.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise self._diverged(f"{name} holds a value that is no number")

    def finish(self) -> None:
        """Leave the kept weights in the model."""
        if self.average:
            self.average.store(self.model)
        set_sample_keys(self.model, None)
        self.model.eval()

    def _batches(self) -> Iterator[Batch]:
        """The batches of the current epoch that are still to come."""
        self.model.train()
        if self.recipe.frozen_norms:
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._NormBase):
                    module.eval()
        done = self.step - len(self.rows) * self.steps_per_epoch
        if done == 0:
            self._losses.zero_()
            self._correct.zero_()
        batches = epoch_batches(
            self.views,
            self.data.preprocess,
            batch_size=self.recipe.batch_size,
            epoch=len(self.rows),
            first=done,
            turns=VIEWS if self.teacher else None,
            world=self.world,
        )
        return self.timer.each("pictures", batches)

    def _update(self, batch: Batch) -> None:
        """One step of the optimiser on (this process's share of) one batch."""
        self.rate = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        set_rate(self.optimiser, self.rate)
        answers = []
        if self.teacher:
            answers.append(self.teacher.answers(self.views)[len(self.rows) % VIEWS, batch.places])
        self._learn(self._learn_from, batch.whole, *batch[:4], *answers)
        if self.average:
            with self.timer("update"):
                self.average.update()
        self.step += 1

    def _learn_from(
        self, whole: int, pictures: Tensor, labels: Tensor, keys: Tensor, *lessons: Tensor
    ) -> None:
        """What `_learn` may record: everything in place, and no number that changes but in a tensor.

        whole    samples of the batch in all processes
        lessons  shares of the labels and, where there is a teacher, its logits, float[n, k, classes]
        """
        self.optimiser.zero_grad(set_to_none=True)
        inputs = (pictures, labels, keys, *lessons)
        pieces = max(1, min(self.recipe.parts, len(labels)))
        for piece in zip(*(value.tensor_split(pieces) for value in inputs), strict=True):
            self._add_gradients(whole, *piece)
        with self.timer("backward"):
            self.world.sum_gradients(self.model)
        with self.timer("update"):
            if self.recipe.clip_grad:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
            self.optimiser.step()

    def _add_gradients(
        self, whole: int, pictures: Tensor, labels: Tensor, keys: Tensor, *lessons: Tensor
    ) -> None:
        """Forward and backward of a part of the batch; its gradients are added to those that are there."""
        set_sample_keys(self.model, keys)
        with self.timer("forward"), self._precision():
            logits = self.model(pictures).float()
            losses = self._shared(logits, labels, *lessons)
        with self.timer("backward"):
            part = losses.sum() / whole  # of the batch's mean: what these pictures give
            part.backward()  # type: ignore[no-untyped-call]
        self._losses += losses.detach().sum()
        likely = labels.gather(1, lessons[0].argmax(1, keepdim=True))[:, 0]
        self._correct += (logits.detach().argmax(1) == likely).sum()

    def _precision(self) -> torch.autocast:
        """bfloat16 where the GPU computes in it; the processors measured so far are faster in float32."""
        half = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def _shared(
        self, logits: Tensor, labels: Tensor, shares: Tensor, answers: Tensor | None = None
    ) -> Tensor:
        """Loss of each sample, float[n]: that against each picture that it is mixed of, by its share.

        For labels and a teacher's answers alike this has the gradient of the loss against their mixture.
        """
        losses = [
            shares[:, own] * self._loss(logits, labels[:, own], None if answers is None else answers[:, own])
            for own in range(labels.shape[1])
        ]
        return torch.stack(losses).sum(0)

    def _loss(self, logits: Tensor, labels: Tensor, answers: Tensor | None) -> Tensor:
        """Loss of each sample, float[n]; also against the teacher's answers where there are some."""
        losses = F.cross_entropy(
            logits,
            labels,
            self._class_weights,
            label_smoothing=self.recipe.label_smoothing,
            reduction="none",
        )
        if answers is None:
            return losses
        share = self.recipe.distillation
        lessons = distilled(logits, answers)
        if self._class_weights is not None:
            lessons = lessons * self._class_weights[labels]
        return (1 - share) * losses + share * lessons

    def _row(self) -> EpochRow:
        """The finished epoch, with the validation of what would be kept after it."""
        losses, correct = self.world.sum(self._losses), self.world.sum(self._correct)
        train, val = self.data.train, self.data.val
        mean, blind = losses.item() / len(train), math.log(max(2, int(train.labels.max()) + 1))
        if not math.isfinite(mean) or mean > RUN_AWAY * blind:
            raise self._diverged(f"the loss is {mean:.3g}")
        with self.timer("validation"):
            logits = predict_logits(self.kept, val.pictures, self.data.preprocess, device=self.device)
        return EpochRow(
            epoch=len(self.rows) + 1,
            step=self.step,
            lr=self.rate,
            train_loss=mean,
            train_accuracy=correct.item() / len(train),
            val_loss=cross_entropy(logits, val.labels),
            val_accuracy=accuracy(logits, val.labels),
            val_balanced_accuracy=balanced_accuracy(logits, val.labels),
            seconds=self._clock.seconds,
        )

    def _require_finite(self) -> None:
        loss = self._losses.item()
        if self.world.any(not math.isfinite(loss)):
            raise self._diverged(f"the loss is {loss:.3g}")

    def _diverged(self, what: str) -> TrainingError:
        """Error that says what to try; what was kept before stays the last good state."""
        rate = self.recipe.learning_rate
        return TrainingError(
            f"{what} after {self.step} steps (epoch {len(self.rows) + 1}) at a learning rate of {rate:g}; "
            f"`smidgen train` with --learning-rate {rate / 3:.2g} may go well"
        )


def _class_weights(data: Examples, device: torch.device) -> Tensor:
    """Weight of each class, inverse to its pictures and 1 on the average picture: float[classes]."""
    counts = torch.bincount(torch.from_numpy(data.labels))
    present = (counts > 0).sum()
    return (len(data) / (present * counts.clamp(min=1))).float().to(device)
