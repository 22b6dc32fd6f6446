"""Successive halving with candidates whose learning curves are known."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from heard import Heard
from smidgen import families
from smidgen.modules import NetworkModule, create
from smidgen.run.contest import contest, spearman
from smidgen.run.plan import Plan, Rung, Trial
from smidgen.run.runner import TEACHER, Runner
from smidgen.train.checkpoint import CheckpointError
from smidgen.train.errors import Interrupted, TrainingError
from smidgen.train.metrics import EpochRow
from smidgen.train.recipe import recipe
from smidgen.watch import Watch

EPOCHS = 10
RUNGS = (Rung(0.2, 3), Rung(0.5, 2), Rung(1.0, 1))
Curve = Callable[[int], tuple[float, float]]  # accuracy and loss after so many epochs


class Fake(Runner):
    """Trials that follow their curves, one step an epoch; some raise at an epoch of their own."""

    def __init__(
        self, plan: Plan, curves: Sequence[Curve], errors: dict[int, tuple[int, Exception]] | None = None
    ) -> None:
        self.plan, self.curves, self.errors = plan, curves, errors or {}
        self.done = dict.fromkeys(range(-1, len(plan.trials)), 0)
        self.calls: list[tuple[int, float]] = []
        self.stopped: set[int] = set()
        self.teachers: list[NetworkModule] = []
        self.taught = 0
        self._lock = threading.Lock()

    def steps(self, number: int, share: float) -> int:
        return self.trial(number).epochs_at(share)

    def train(
        self, number: int, share: float, advance: Callable[[int], None], stopping: Callable[[], bool]
    ) -> tuple[EpochRow, ...]:
        with self._lock:
            self.calls.append((number, share))
        until = self.steps(number, share)
        advance(self.done[number])
        while self.done[number] < until:
            at, error = self.errors.get(number, (0, None))
            if error is not None and self.done[number] == at:
                raise error
            self.done[number] += 1
            advance(1)
            if stopping() and self.done[number] < until:
                self.stopped.add(number)
                raise Interrupted(self.done[number], EPOCHS)
        return tuple(self.row(number, epoch) for epoch in range(1, until + 1))

    def row(self, number: int, epoch: int) -> EpochRow:
        accuracy, loss = self.curves[number](epoch)
        return EpochRow(epoch, epoch, 0.1, loss, accuracy, loss, accuracy, 1 - accuracy, float(epoch))

    def finished(self, number: int) -> NetworkModule:
        assert self.done[number] == EPOCHS
        return create(self.trial(number).network)

    def learn_from(self, teacher: NetworkModule) -> None:
        self.teachers.append(teacher)

    def lessons(self) -> int:
        return 8

    def teach(self, advance: Callable[[int], None], stopping: Callable[[], bool]) -> None:
        while self.taught < 8:
            if stopping():
                raise Interrupted(self.taught, 8)
            self.taught += 1
            advance(1)


def flat(accuracy: float, loss: float = 1.0) -> Curve:
    return lambda _: (accuracy, loss)


def plan_of(count: int, rungs: tuple[Rung, ...] = RUNGS, teacher: bool = False) -> Plan:
    network = families.network("resnet20", num_classes=2, resolution=16)
    trial = Trial(network, recipe("small").shortened(EPOCHS))
    return Plan((trial,) * count, rungs, trial if teacher else None)


def test_the_better_ones_train_on_and_the_best_wins() -> None:
    accuracies = [0.5, 0.9, 0.3, 0.8, 0.7, 0.1]
    runner = Fake(plan_of(6), [flat(value) for value in accuracies])
    outcome = contest(runner.plan, runner, 1, Watch())
    assert outcome.best == 1
    assert [number for number, share in runner.calls if share == 0.2] == [0, 1, 2, 3, 4, 5]
    assert sorted(number for number, share in runner.calls if share == 0.5) == [1, 3, 4]
    assert sorted(number for number, share in runner.calls if share == 1.0) == [1, 3]
    assert [len(rows) for rows in outcome.rows] == [2, 10, 2, 10, 5, 2]
    assert [(row["epochs"], row["candidates"]) for row in outcome.rungs] == [(2, 6), (5, 3), (10, 2)]
    assert (outcome.failed, outcome.taught_by) == ({}, None)


def test_who_starts_slowly_can_win_from_the_last_place_that_goes_on() -> None:
    curves: list[Curve] = [flat(0.8), flat(0.7), lambda epoch: (epoch / 10, 1.0)]
    runner = Fake(plan_of(3, (Rung(0.6, 2), Rung(1.0, 1))), [*curves])
    assert contest(runner.plan, runner, 1, Watch()).best == 0  # 0.6 at epoch 6: out
    runner = Fake(plan_of(3, (Rung(0.8, 2), Rung(1.0, 1))), [*curves])
    assert contest(runner.plan, runner, 1, Watch()).best == 2


def test_equal_accuracies_are_told_apart_by_the_loss() -> None:
    runner = Fake(plan_of(4), [flat(0.5, 1.0), flat(0.5, 0.7), flat(0.5, 0.4), flat(0.4, 0.1)])
    outcome = contest(runner.plan, runner, 2, Watch())
    assert outcome.best == 2
    assert [len(rows) for rows in outcome.rows] == [5, 10, 10, 2]


def test_where_classes_count_alike_the_balanced_accuracy_decides() -> None:
    plain = plan_of(3)
    trial = plain.trials[0]
    weighted = dataclasses.replace(trial, recipe=dataclasses.replace(trial.recipe, class_weights=True))
    curves = [flat(0.9), flat(0.2), flat(0.5)]  # balanced: 0.1, 0.8, 0.5
    for plan, best in ((plain, 0), (dataclasses.replace(plain, trials=(weighted,) * 3), 1)):
        heard = Heard()
        assert contest(plan, Fake(plan, curves), 1, heard).best == best
        assert all(("balanced validation 80.0 %" in line) == plan.balanced for line in heard.lines[:1])


def test_one_that_diverges_drops_out_whenever_it_does() -> None:
    error = TrainingError("the loss is nan")
    curves = [flat(0.9), flat(0.8), flat(0.7), flat(0.6)]
    for when, share in ((0, 0.2), (3, 0.5), (7, 1.0)):
        heard, runner = Heard(), Fake(plan_of(4), curves, {0: (when, error)})
        outcome = contest(runner.plan, runner, 2, heard)
        assert outcome.best == 1
        assert outcome.failed == {0: "the loss is nan"}
        assert runner.calls[-1][1] == 1.0
        assert max(reached for number, reached in runner.calls if number == 0) == share
        assert any("is out: the loss is nan" in line for line in heard.lines)


def test_when_all_diverge_every_reason_is_given_once() -> None:
    errors = {0: (0, TrainingError("a")), 1: (4, TrainingError("b")), 2: (0, TrainingError("a"))}
    runner = Fake(plan_of(3), [flat(0.5)] * 3, errors)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=r"^a; b$"):
        contest(runner.plan, runner, 2, Watch())


@pytest.mark.parametrize("workers", [1, 3])
def test_a_request_to_stop_reaches_every_running_trial(workers: int) -> None:
    runner = Fake(plan_of(6), [flat(0.5)] * 6)
    with pytest.raises(Interrupted):
        contest(runner.plan, runner, workers, Heard(stop_after=1))
    assert {share for _, share in runner.calls} == {0.2}
    assert runner.stopped
    assert max(runner.done.values()) <= 2


def test_a_request_in_the_last_step_of_a_rung_is_heard() -> None:
    """It comes when no trial of the rung asks any more; the next rung must not begin."""
    runner = Fake(plan_of(6), [flat(0.5)] * 6)
    with pytest.raises(Interrupted):
        contest(runner.plan, runner, 1, Heard(stop_after=6 * 2))
    assert {share for _, share in runner.calls} == {0.2}


@pytest.mark.parametrize("error", [CheckpointError("the disk is full"), KeyboardInterrupt(), OSError("gone")])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_ends_the_run_surfaces_and_the_others_keep_their_state(workers: int, error: Exception) -> None:
    runner = Fake(plan_of(4), [flat(0.5)] * 4, {0: (1, error)})
    with pytest.raises(type(error)) as caught:
        contest(runner.plan, runner, workers, Watch())
    assert caught.value is error
    assert {share for _, share in runner.calls} == {0.2}
    reached = {number for number, done in runner.done.items() if done >= 2}
    assert all(number in reached | runner.stopped | {0} for number, _ in runner.calls)


def test_progress_is_one_number_that_ends_at_the_whole() -> None:
    heard = Heard()
    runner = Fake(plan_of(6), [flat(0.5)] * 6)
    contest(runner.plan, runner, 3, heard)
    for total in (12, 15, 20):
        done = [now for now, whole in heard.reports if whole == total]
        assert done == sorted(done)
        assert done[-1] == total


def test_a_teacher_is_trained_to_the_end_before_its_pupils() -> None:
    runner = Fake(plan_of(2, (Rung(1.0, 1),), teacher=True), [flat(0.5), flat(0.6), flat(0.99)])
    outcome = contest(runner.plan, runner, 2, Watch())
    assert runner.calls[0] == (TEACHER, 1.0)
    assert len(runner.teachers) == 1
    assert runner.taught == 8
    assert outcome.best == 1
    assert outcome.taught_by == runner.row(TEACHER, EPOCHS)


def test_a_request_during_the_lessons_is_heard_between_two_pictures() -> None:
    """Tuning takes 10 steps here; 3 of the 8 pictures are looked at, and no pupil begins."""
    runner = Fake(plan_of(2, (Rung(1.0, 1),), teacher=True), [flat(0.5)] * 3)

    class Impatient(Heard):
        @contextmanager
        def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
            self.stop_after = 3 if "looked at" in label else None
            with super().progress(label) as report:
                yield report

    with pytest.raises(Interrupted, match="step 3 of 8"):
        contest(runner.plan, runner, 1, Impatient())
    assert runner.taught == 3
    assert {number for number, _ in runner.calls} == {TEACHER}


def test_headings_say_what_is_being_done_and_how_long_it_takes() -> None:
    plan, heard = plan_of(6, teacher=True), Heard()
    timed = tuple(dataclasses.replace(trial, epoch_seconds=60.0) for trial in plan.trials)
    assert plan.teacher is not None
    teacher = dataclasses.replace(plan.teacher, epoch_seconds=30.0)
    plan = dataclasses.replace(plan, trials=timed, teacher=teacher)
    contest(plan, Fake(plan, [flat(0.5)] * 7), 2, heard)
    assert heard.headings == [
        "tuning resnet20, which will teach, for 10 epochs at 16 pixels: about 5 min",
        "resnet20 looks at 8 views of every picture, for its pupils to learn from",
        "training 6 candidates for 2 epochs, to compare them: about 6 min",  # 6 of 2 epochs, 2 at a time
        "training 3 candidates on to epoch 5, to compare them: about 4 min",  # 3 of 3 epochs more
        "training 2 candidates on to epoch 10 (the end): about 5 min",
    ]


def test_nobody_is_said_to_train_who_stands_there_already() -> None:
    """One epoch in all: the rungs after the first find it done."""

    network = families.network("resnet20", num_classes=2, resolution=16)
    trial = Trial(network, recipe("small").shortened(1))
    plan, heard = Plan((trial,) * 3, RUNGS), Heard()
    runner = Fake(plan, [flat(0.5)] * 3)
    contest(plan, runner, 1, heard)
    assert heard.headings == ["training 3 candidates for 1 epoch, to compare them"]


def test_who_does_not_stop_in_time_is_not_waited_for() -> None:
    """A step that takes far longer than the watcher's patience: what was kept before it counts."""
    ended = threading.Event()

    class Slow(Fake):
        def train(
            self, number: int, share: float, advance: Callable[[int], None], stopping: Callable[[], bool]
        ) -> tuple[EpochRow, ...]:
            advance(1)
            ended.wait(30)
            return super().train(number, share, advance, stopping)

    class Hasty(Heard):
        patience = 0.0

    runner = Slow(plan_of(1, (Rung(1.0, 1),)), [flat(0.5)])
    try:
        with pytest.raises(Interrupted):
            contest(runner.plan, runner, 1, Hasty(stop_after=1))
        assert not ended.is_set()
    finally:
        ended.set()


def test_a_teacher_that_diverges_is_said_with_the_way_out() -> None:
    runner = Fake(
        plan_of(2, (Rung(1.0, 1),), teacher=True),
        [flat(0.5)] * 3,
        {TEACHER: (3, TrainingError("the loss is nan"))},
    )
    with pytest.raises(TrainingError, match="the teacher resnet20: the loss is nan; --from-scratch"):
        contest(runner.plan, runner, 2, Watch())


def test_rungs_that_order_alike_agree_and_those_that_turn_round_do_not() -> None:
    alike = [flat(0.1 * number) for number in range(4)]
    rungs = (Rung(0.5, 4), Rung(1.0, 1))
    runner = Fake(plan_of(4, rungs), alike)
    assert contest(runner.plan, runner, 1, Watch()).rungs[0]["spearman"] == pytest.approx(1)

    def turning(number: int) -> Curve:
        return lambda epoch: ((number if epoch <= 5 else 4 - number) / 10, 1.0)

    runner = Fake(plan_of(4, rungs), [turning(number) for number in range(4)])
    first, last = contest(runner.plan, runner, 1, Watch()).rungs
    assert first["spearman"] == pytest.approx(-1)
    assert last["spearman"] is None


values = st.integers(0, 5).map(float) | st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(values, values), min_size=3, max_size=30))
def test_rank_correlation_is_scipys(pairs: list[tuple[float, float]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert spearman(a, b) is None
    else:
        assert spearman(a, b) == pytest.approx(float(spearmanr(a, b).statistic), abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_values_have_no_order_to_compare(count: int) -> None:
    assert spearman([1.0, 2.0][:count], [2.0, 1.0][:count]) is None
