"""What is renewed in a forked child, and that nobody hears of it at the end of a script."""

from __future__ import annotations

import functools
import gc
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

import smidgen
from smidgen import forks, modelfile
from smidgen.forks import Guard
from smidgen.modelfile import ModelFile
from smidgen.program import draw_weights

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_child(check: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)
        except BaseException:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


@fork
def test_the_child_has_free_locks_and_the_parent_keeps_what_it_holds() -> None:
    one, two = Guard(), Guard()
    with one.lock:
        assert in_child(lambda: not one.lock.locked() and not two.lock.locked())
        assert one.lock.locked()


@fork
def test_a_block_that_the_fork_interrupts_comes_to_its_end_in_the_child() -> None:
    guard = Guard()

    def check() -> bool:
        return guard.lock.acquire(timeout=5)

    with guard.lock:
        child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_gone_is_not_kept() -> None:
    gc.collect()  # what other tests have left
    before = len(forks._guards)
    one = Guard()
    assert len(forks._guards) == before + 1
    del one
    gc.collect()
    assert len(forks._guards) == before


MADE = """
import sys, numpy
from smidgen.engine import Engine
from smidgen.predict import Predictor
engine = Engine(sys.argv[1], threads=1)
picture = numpy.zeros((32, 32, 3), numpy.uint8)
"""
SCRIPTS = {
    "a global that a function uses": "def ask(): return engine.predict(picture)\nask()",
    "a predictor": (
        "predictor = Predictor(engine.network, engine)\ndef ask(): return predictor.rank(picture)\nask()"
    ),
    "a cycle": "engine.itself = engine\nengine.predict(picture)",
    "a class": "class Kept:\n    mine = engine\n    def ask(self): return self.mine\nkept = Kept()",
    "a default": "def ask(engine=engine): return engine\nimport atexit; atexit.register(ask)",
    "a pool": (
        "import multiprocessing\n"
        "def ask(_): return len(engine.predict(picture))\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool: assert pool.map(ask, range(4)) == [1] * 4"
    ),
    "a child that ends": (
        "import os\n"
        "def ask(): return engine.predict(picture)\n"
        "child = os.fork()\n"
        "ask()\n"
        "if child: assert os.waitpid(child, 0)[1] == 0"
    ),
    "a thread": (
        "import threading\n"
        "def ask(): return engine.predict(picture)\n"
        "thread = threading.Thread(target=ask); thread.start(); thread.join()"
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file, as scripts have it: an engine of drawn weights is let go early, and hides how the end is."""
    network = smidgen.network("shiftresnet20_e3", num_classes=4, c_in=3, resolution=32)
    path = tmp_path_factory.mktemp("forks") / "model.safetensors"
    modelfile.write(path, ModelFile(network, draw_weights(network)))
    return str(path)


@fork
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_that_keeps_an_engine_ends_in_silence(script: str, model: str) -> None:
    code = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", MADE + script, model]
    done = subprocess.run(code, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def _free(guard: forks.Guard) -> bool:
    """Whether its lock, which a fork makes anew, can be had."""
    return guard.lock.acquire(timeout=5)


@fork
def test_the_locks_of_trials_are_free_in_a_forked_child() -> None:
    from smidgen.run import beginning, runner

    for guard in (beginning._BUILDING, runner._DECODING):
        with guard.lock:
            assert in_child(functools.partial(_free, guard))
