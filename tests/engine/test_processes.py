"""Engines in other processes: pickled, forked."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import smidgen
from smidgen.engine import Engine
from smidgen.engine import engine as engine_file
from smidgen.predict import Predictor
from smidgen.program import draw_weights
from smidgen.spec import SmidgenError

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
# Python 3.12 warns of every fork beside threads, which is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def made(threads: int | None = None) -> Engine:
    network = smidgen.network("shiftresnet20_e3", num_classes=4, c_in=3, resolution=32)
    return Engine((network, draw_weights(network)), threads=threads)


X = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)


def in_child(check: Callable[[], bool]) -> bool:
    """Whether a forked child, which is given a minute, finds it so."""
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(60)
        try:
            os._exit(0 if check() else 1)
        except BaseException:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_a_copy_answers_with_the_same_bits(again: Callable[[Engine], Engine]) -> None:
    engine = made(threads=2)
    other = again(engine)
    assert (other(X) == engine(X)).all()
    assert (other.network, other.provenance, other.threads) == (engine.network, engine.provenance, 2)


def test_an_engine_that_was_given_no_threads_takes_those_of_where_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = pickle.dumps(made())
    monkeypatch.setattr(engine_file, "cores", lambda: 7)
    assert pickle.loads(packed).threads == 7
    assert pickle.loads(pickle.dumps(pickle.loads(packed))).threads == 7


def test_threads_cannot_be_changed_under_memory_that_was_made_for_fewer() -> None:
    with pytest.raises(AttributeError):
        made(threads=1).threads = 8  # type: ignore[misc]


def test_a_predictor_is_pickled_with_its_engine() -> None:
    engine = made(threads=1)
    predictor = Predictor(engine.network, engine, {"seed": 3})
    other = pickle.loads(pickle.dumps(predictor))
    picture = np.full((40, 40, 3), 90, np.uint8)
    assert other.predict(picture) == predictor.predict(picture)
    assert other.provenance == {"seed": 3}


def test_a_predictor_by_torch_is_pickled_too() -> None:
    from smidgen.train.predict import forward_of

    model = smidgen.create(made().network)
    predictor = Predictor(model.network, forward_of(model, threads=1))
    picture = np.full((40, 40, 3), 90, np.uint8)
    assert pickle.loads(pickle.dumps(predictor)).predict(picture) == predictor.predict(picture)


@fork
def test_a_lock_that_was_held_at_the_fork_is_free_in_the_child() -> None:
    engine = made(threads=2)
    expected, held, done = engine(X), threading.Event(), threading.Event()

    def hold() -> None:
        with engine._guard.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_child(lambda: bool((engine(X) == expected).all()))
        assert in_child(lambda: engine(X[:, :, :24, :24]).shape == (2, 4))
    finally:
        done.set()
        thread.join()


@fork
def test_a_child_has_as_many_threads_of_its_own_as_were_asked_for() -> None:
    def own() -> int:
        names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
        return names.count("smidgen")

    engine = made(threads=3)
    engine(X[:1])

    def check() -> bool:
        before = own()
        engine(X[:1])
        return (before, own()) == (0, 2)

    if engine.backend == "numpy":
        pytest.skip("the interpreter has no threads")
    assert in_child(check)


@fork
def test_a_stream_from_before_the_fork_is_refused_and_not_waited_for() -> None:
    engine = made(threads=1)
    stream = Predictor(engine.network, engine).stream(
        (np.zeros((8, 8, 3), np.uint8) for _ in range(1000)), batch_size=1, threads=1
    )
    next(stream)

    def check() -> bool:
        try:
            list(stream)
        except SmidgenError as error:
            return "begun before a fork" in str(error)
        return False

    assert in_child(check)
    assert len(list(stream)) == 999


ENDS = """
import os, sys
sys.path.insert(0, sys.argv[1])
import processes
engine = processes.made_engine(2)
learned = processes.trained(engine, 2)
bits = processes.hashed(engine)
child = os.fork()
if child == 0:
    import signal
    signal.alarm(100)
    assert processes.hashed(engine) == bits
    assert sys.argv[2] == "calls" or processes.trained(engine, 2) == learned
    sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@fork
@pytest.mark.parametrize("does", ["calls", "trains"])
def test_a_child_of_a_parent_that_has_trained_works_and_comes_to_its_end(does: str) -> None:
    from test_processes import RESULTS

    done = subprocess.run([sys.executable, "-c", ENDS, str(RESULTS), does], check=False, timeout=200)
    assert done.returncode == 7
