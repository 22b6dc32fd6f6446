"""Trains one trial of a run at a time, from its last checkpoint on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from smidgen.forks import Guard
from smidgen.graph import Network
from smidgen.modules import NetworkModule
from smidgen.run.beginning import at_start
from smidgen.run.plan import Plan, Trial
from smidgen.run.session import Session
from smidgen.train import (
    EpochRow,
    Hardware,
    Interrupted,
    Material,
    Teacher,
    Timer,
    Training,
    TrainingData,
    TrainingError,
    Views,
    World,
    checkpoint,
    write_rows,
)
from smidgen.train.batches import batch_sizes
from smidgen.train.distil import VIEWS
from smidgen.train.footprint import prediction_batch
from smidgen.train.head import fit_head
from smidgen.train.memory import release_freed
from smidgen.train.parallel import ALONE
from smidgen.train.replay import recorder
from smidgen.train.threads import sharing, threads_worth
from smidgen.watch import Watch

__all__ = ["LESSONS", "TEACHER", "Runner"]

TEACHER = -1  # its number, beside those of the trials
LESSONS = "lessons"  # folder of its answers, below its own

# Speeds are measured on steps of so many pictures at least; and multiply-adds a second by which larger ones
# would take too long.
_FEWEST_MEASURED, _MACS = 2, 2e10

# Two trials never decode the same pictures.
_DECODING = Guard()


class _Asking(Watch):
    """Asks whether to stop whenever it hears how far some work is."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Raise Interrupted in the work that reports."""
        del label

        def report(done: int, total: int) -> None:
            if self._stopping():
                raise Interrupted(done, total)

        yield report


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Say it in one line where the device has not."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise TrainingError("the device ran out of memory; try smaller pictures or batches") from None


class Runner:
    """The trials of one run, each with a folder of its own below `folder`.

    timer  where the time of all trials went
    """

    def __init__(self, folder: Path, plan: Plan, material: Material, session: Session) -> None:
        self.folder, self.plan, self.material, self.session = folder, plan, material, session
        self.timer = Timer()
        self._teacher: Teacher | None = None

    def trial(self, number: int) -> Trial:
        """A trial by its number, or the teacher."""
        if number != TEACHER:
            return self.plan.trials[number]
        assert self.plan.teacher is not None, "only plans with a teacher train one"
        return self.plan.teacher

    def place(self, number: int) -> Path:
        """Folder of one trial."""
        name = self.trial(number).network.name
        return self.folder / ("teacher" if number == TEACHER else f"candidates/{number + 1:02d}-{name}")

    def steps(self, number: int, share: float) -> int:
        """Steps of one trial up to a share of its training."""
        trial = self.trial(number)
        sizes = batch_sizes(len(self.material.split.train), trial.recipe.batch_size)
        return len(sizes) * trial.epochs_at(share)

    def train(
        self, number: int, share: float, advance: Callable[[int], None], stopping: Callable[[], bool]
    ) -> tuple[EpochRow, ...]:
        """Bring one trial to a share of its training; the rows up to there.

        advance   called with the number of steps that were done, those of earlier sessions included
        stopping  asked after every step
        Raises    Interrupted, TrainingError, CheckpointError
        """
        if stopping():  # before anything is decoded or taught that the next session would do again
            raise Interrupted(0, self.steps(number, share))
        trial, place = self.trial(number), self.place(number)
        until = trial.epochs_at(share)
        found = checkpoint.latest(place / "checkpoints")
        if found is not None and len(found.position["rows"]) >= until:
            advance(self.steps(number, share))
            return tuple(EpochRow(**row) for row in found.position["rows"][:until])
        with self.threads_for(trial):
            training = self.training(trial, self.session.world, fresh=found is None, stopping=stopping)
            if found is not None:
                training.restore(found)
            place.mkdir(parents=True, exist_ok=True)
            before = training.step
            advance(before)

            def step(_done: int, _total: int) -> None:
                advance(1)

            def epoch(_row: EpochRow) -> None:
                if self.session.world.leads:
                    write_rows(place / "metrics.csv", training.rows)

            try:
                with _enough_memory():
                    training.run(
                        until,
                        on_step=step,
                        on_epoch=epoch,
                        checkpoints=place / "checkpoints",
                        every=self.session.every,
                        stopping=stopping,
                    )
            finally:
                for stage, seconds in training.timer.seconds.items():
                    self.timer.seconds[stage] += seconds
            return tuple(training.rows)

    def epoch_seconds(
        self, trial: Trial, patience: float, stopping: Callable[[], bool] = lambda: False
    ) -> float:
        """Estimate of one epoch, from so many seconds of a training that is thrown away.

        Raises    TrainingError where even those cannot be trained, Interrupted
        """
        if stopping():
            raise Interrupted(0, 1)
        plan = trial.recipe
        worth = round(patience * _MACS / (3 * trial.network.cost().macs))  # pictures of one step
        batch = min(plan.batch_size, max(_FEWEST_MEASURED, worth))
        quick = dataclasses.replace(
            plan, batch_size=batch, parts=1 if batch < plan.batch_size else plan.parts
        )
        # The answers of a teacher stand ready when it learns from them.
        asked = dataclasses.replace(trial, teacher=None, recipe=quick)
        with self.threads_for(trial), _enough_memory():
            return self.training(asked, ALONE, fresh=False, stopping=stopping).epoch_seconds(patience)

    def finished(self, number: int) -> NetworkModule:
        """The network of a trial that has come to its end, with the weights that are kept."""
        found = checkpoint.latest(self.place(number) / "checkpoints")
        assert found is not None, "a finished trial has a checkpoint"
        training = self.training(self.trial(number), ALONE, fresh=False)
        training.restore(found)
        training.finish()
        model = training.model.cpu()
        assert isinstance(model, NetworkModule)
        return model

    def begun(self, number: int) -> NetworkModule:
        """The network of a trial as it was before its first step, on the processor."""
        trial = self.trial(number)
        data = self._data(trial.network, lambda: False)
        with self.threads_for(trial):
            return self.initial(trial, data, torch.device(self.session.device)).cpu()

    def training(
        self,
        trial: Trial,
        processes: World,
        *,
        fresh: bool = True,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Training:
        """A trial at its start, in these processes; not `fresh` where its weights do not matter.

        Raises   Interrupted where it is asked to stop while pictures are decoded
        """
        release_freed()  # of the training before
        data, device = self._data(trial.network, stopping), torch.device(self.session.device)
        blank = dataclasses.replace(trial, start=None)  # the quickest weights to be had
        model = self.initial(trial, data, device) if fresh else at_start(blank, self.session.seed)
        record = None
        if self.session.workers == 1:  # while one thread records, none else may ask the device for memory
            record = recorder(model, trial.recipe, device, processes)
        return Training(
            model,
            trial.recipe,
            data,
            seed=self.session.seed,
            teacher=self._teacher if trial.teacher else None,
            hardware=Hardware(device, processes, record),
        )

    def learn_from(self, teacher: NetworkModule) -> None:
        """Let the trials that want a teacher learn from this one, once it has given its lessons."""
        network = teacher.network
        self._teacher = Teacher(
            teacher.to(self.session.device), network.input[1:3], network.preprocess, prediction_batch(network)
        )

    def lessons(self) -> int:
        """Pictures that the teacher looks at: every view of each, at every size that its pupils see."""
        return VIEWS * len(self.material.split.train) * len(self._pupils())

    def teach(self, advance: Callable[[int], None], stopping: Callable[[], bool]) -> None:
        """Let the teacher answer for all views of all pictures; what it has answered is kept.

        advance   called with the number of pictures that it has looked at
        stopping  asked between them
        Raises    Interrupted, TrainingError, CheckpointError
        """
        assert self._teacher is not None, "there are no lessons without a teacher"
        assert self.plan.teacher is not None, "pupils have a teacher"
        kept, device = self.place(TEACHER) / LESSONS, torch.device(self.session.device)
        with self.threads_for(self.plan.teacher), _enough_memory():  # always with the same threads
            for pupil in self._pupils():
                data = self._data(pupil.network, stopping).train
                views = Views(data, pupil.recipe.augment, self.session.seed, device)
                self._teacher.answers(
                    views,
                    kept=kept / str(pupil.network.input),
                    advance=advance,
                    stopping=stopping,
                )

    def _pupils(self) -> list[Trial]:
        """One trial of each size of pictures that learn from the teacher."""
        return list({trial.network.input: trial for trial in self.plan.trials if trial.teacher}.values())

    def _data(self, network: Network, stopping: Callable[[], bool]) -> TrainingData:
        """Train and validation pictures at the network's size."""
        with _DECODING.lock:
            train, val = (self.material.pixels(part, _Asking(stopping), network) for part in ("train", "val"))
            return TrainingData(train, val, network.preprocess)

    def initial(self, trial: Trial, data: TrainingData, device: torch.device) -> NetworkModule:
        """The network as it is before the first step, the same for the same seed; its head fits where the
        recipe begins with that.
        """
        model = at_start(trial, self.session.seed)
        if trial.start is not None and trial.recipe.head_first:
            fit_head(model.to(device), data, both_ways=trial.recipe.augment.flip)
        return model

    def threads_for(self, trial: Trial) -> AbstractContextManager[None]:
        """Processor threads for the steps of one trial."""
        if self.session.device != "cpu":
            return nullcontext()
        return sharing(trial.recipe.batch_size * trial.network.cost().macs, self.threads_of(trial))

    def threads_of(self, trial: Trial) -> int:
        """How many processor threads the steps of one trial get."""
        return self.session.threads or threads_worth(
            trial.recipe.batch_size * trial.network.cost().macs,
            self.session.all_threads,
            alone=len(self.plan.trials) == 1,
        )
