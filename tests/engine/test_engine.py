"""What an engine takes and refuses, and that its callers do not disturb each other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import smidgen
from smidgen import Engine, modelfile, native
from smidgen.engine import StepTime
from smidgen.engine.engine import KEPT
from smidgen.graph import tensors
from smidgen.modelfile import ModelFile
from smidgen.program import Work
from smidgen.run import Fitted
from smidgen.spec import DependencyError, ModelFileError, PictureError, ShapeError

Array = NDArray[Any]


def random_file(name: str = "resnet20", **options: Any) -> ModelFile:
    """A network with weights that nobody trained."""
    network = smidgen.network(name, num_classes=5, **({"resolution": 16} | options))
    draw = np.random.default_rng(0)
    arrays = {
        tensor.name: draw.uniform(0.1, 0.2, tensor.shape).astype(np.float32) if tensor.shape else np.array(0)
        for tensor in tensors(network.tree)
    }
    return ModelFile(network, arrays, {"seed": 3})


def pictures(count: int, side: int = 16, channels: int = 3) -> Array:
    return np.random.default_rng(1).normal(size=(count, channels, side, side)).astype(np.float32)


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "missing", lambda: "the native library was not built")


def test_a_path_its_content_and_its_parts_make_the_same_engine(tmp_path: Path) -> None:
    file = random_file()
    modelfile.write(tmp_path / "m.safetensors", file)
    x, path = pictures(2), tmp_path / "m.safetensors"
    engines = [Engine(path), Engine(str(path)), Engine(file), Engine((file.network, file.tensors))]
    assert len({engine(x).tobytes() for engine in engines}) == 1
    assert [engine.provenance for engine in engines] == [{"seed": 3}] * 3 + [{}]


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        ([[1.0]], "a list came; an array float"),
        (np.zeros((3, 16, 16), np.float32), r"float32\[3, 16, 16\] came; float\[N, 3, H, W\] is needed"),
        (np.zeros((1, 4, 16, 16), np.float32), r"float32\[1, 4, 16, 16\] came"),
        (np.zeros((1, 16, 16, 3), np.uint8), "is needed"),
        (np.zeros((1, 3, 16, 16), np.uint8), "uint8 came; normalised floats are needed, `predict` takes"),
        (np.zeros((1, 3, 16, 16), np.int64), "int64 came; normalised floats"),
        (np.zeros((1, 3, 16, 16), bool), "bool came"),
    ],
)
def test_an_array_that_is_no_input_is_refused(x: Any, reason: str) -> None:
    engine = Engine(random_file())
    for call in (engine, engine.profile):
        with pytest.raises(ShapeError, match=reason) as caught:
            call(x)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_what_is_no_number_is_refused_wherever_it_stands(value: float, kind: type[Any]) -> None:
    x = pictures(2).astype(kind)
    with np.errstate(over="ignore"):
        x[1, 2, 15, 15] = value
    with pytest.raises(PictureError, match="NaN or infinity"):
        Engine(random_file())(x)


def test_numbers_whose_sum_overflows_are_numbers() -> None:
    x = np.full((1, 3, 16, 16), 3e38, np.float32)
    assert Engine(random_file())(x).shape == (1, 5)


def test_weights_that_are_no_numbers_are_refused_with_their_name(tmp_path: Path) -> None:
    file = random_file()
    name = next(name for name, array in file.tensors.items() if array.ndim == 4)
    broken = {**file.tensors, name: file.tensors[name].copy()}
    broken[name].flat[-1] = np.nan
    modelfile.write(tmp_path / "m.safetensors", ModelFile(file.network, broken))
    for model in (tmp_path / "m.safetensors", (file.network, broken)):
        with pytest.raises(ModelFileError, match=f"{name} holds what is no number; its weights are damaged"):
            Engine(model)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelFileError, match="is missing"):
        Engine((random_file().network, random_file("squeezenet1_1", resolution=64).tensors))


def test_an_array_need_not_be_dense_or_float32() -> None:
    engine, x = Engine(random_file()), pictures(4)
    wanted = engine(x)
    wide = np.zeros((4, 3, 16, 32), np.float32)
    wide[..., ::2] = x
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for same in (wide[..., ::2], last, np.asfortranarray(x), x.astype(np.float64), x.astype(">f4")):
        assert engine(same).tobytes() == wanted.tobytes()
    assert engine(x[::-2]).tobytes() == wanted[::-2].tobytes()
    x.flags.writeable = False
    assert engine(x).tobytes() == wanted.tobytes()


def test_the_input_is_left_as_it_was() -> None:
    x = pictures(3)
    before = x.copy()
    Engine(random_file())(x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_calls_at_the_same_time_get_what_each_gets_alone(threads: int) -> None:
    engine = Engine(random_file("efficientnet_b0", resolution=32), threads=threads)
    sides = [32, 33, 48, 32, 40, 56, 64, 72]  # more sizes than are kept
    inputs = [pictures(1 + index % 3, side) for index, side in enumerate(sides)]
    alone = [engine(x) for x in inputs]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            same = engine(inputs[index]).tobytes() == alone[index].tobytes()
            wrong.extend([] if same else [index])

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(sides))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_programs_of_the_latest_sizes_only_are_kept() -> None:
    engine = Engine(random_file())
    for side in range(16, 16 + 3 * KEPT):
        engine(pictures(1, side))
        assert len(engine._programs) <= KEPT
    latest = range(16 + 2 * KEPT, 16 + 3 * KEPT)
    assert [shape.height for shape in engine._programs] == list(latest)
    engine(pictures(1, latest[0]))  # now the latest of all
    engine(pictures(1, 100))
    assert latest[0] in [shape.height for shape in engine._programs]


def test_predict_takes_paths_pictures_and_arrays_and_gives_names(fitted: Fitted, shapes: Path) -> None:
    engine, path = Engine(fitted.folder / "model.safetensors"), shapes / "cross" / "000.png"
    array = np.asarray(Image.open(path).convert("RGB"))
    answers = engine.predict([path, str(path), Image.open(path), array])
    assert answers == [answers[0]] * 4
    assert {answer.name for answer in answers[0]} == set(engine.network.classes)
    assert sum(answer.probability for answer in answers[0]) == pytest.approx(1)
    assert engine.predict(str(path)) == engine.predict(array[None]) == answers[:1]
    assert engine.predict(path, top=1) == [answers[0][:1]]
    assert engine.predict([]) == []


# ── the time of each step ────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")
@pytest.mark.parametrize("name", ["efficientnet_b0", "squeezenet1_1", "shiftnet_c", "resnet20"])
def test_a_profile_has_every_multiply_add_of_the_network(name: str) -> None:
    file = random_file(name, resolution=64)
    # Each of ShiftNet's four modules with a stride makes only a quarter of what it shifts: of 16 x 16 weights
    # on 64 x 64 pixels, of 32 x 32 on 32 x 32, 64 x 64 on 16 x 16 and 128 x 128 on 8 x 8.
    unread = 3 * 4 * 16**2 * 64**2 // 4 if name == "shiftnet_c" else 0
    for threads, x in ((1, None), (2, pictures(3, 64))):
        steps = Engine(file, threads=threads).profile(x, repeats=3)
        assert sum(step.macs for step in steps) == file.network.cost().macs - unread
        assert all(step.ms >= 0 for step in steps)
        assert all((step.gflops > 0) == (step.macs > 0 and step.ms > 0) for step in steps)
        assert {step.work.kind for step in steps if step.macs} <= {"conv", "winograd", "depthwise"}
        assert len({step.id for step in steps}) == len(steps)
    larger = Engine(file).profile(pictures(1, 128), repeats=1)
    assert sum(step.macs for step in larger) > 2 * file.network.cost().macs


def test_operations_a_second_are_two_for_each_multiply_add() -> None:
    work = Work("conv", 1, 1, 10, 10, 100, 300)
    step = StepTime(0, "a", work, ms=2.0, macs=3_000_000, peak=12.0)
    assert step.gflops == pytest.approx(3.0)
    assert step.share == pytest.approx(0.25)
    assert step._replace(ms=0.0).gflops == 0


def test_a_profile_of_nothing_is_refused() -> None:
    engine = Engine(random_file())
    with pytest.raises(ShapeError, match="no picture came"):
        engine.profile(pictures(0))
    with pytest.raises(ValueError, match="0 repeats"):
        engine.profile(repeats=0)


# ── without the native library ───────────────────────────────────────────────────────────────────────


def test_the_interpreter_takes_over_and_says_so(without_kernels: None) -> None:
    file = random_file()
    with pytest.warns(RuntimeWarning, match="not built; the slow interpreter runs instead"):
        engine = Engine(file)
    module = smidgen.create(file.network).eval()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in file.tensors.items()})
    x = pictures(3)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(engine(x), wanted, rtol=1e-4)
    assert engine(x[:0]).shape == (0, 5)
    assert engine(x)[1:2].tobytes() == engine(x[1:2]).tobytes()
    assert engine.backend == "numpy"
    with pytest.raises(DependencyError, match="native kernels only; the native library was not built"):
        engine.profile()


def test_a_call_with_little_to_do_works_alone_unless_threads_were_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smidgen.engine.engine.cores", lambda: 3)
    little, much = random_file("shiftresnet20_e1", resolution=8), random_file("efficientnet_b0")
    assert 0.5e6 < little.network.cost().macs < 4e6 < much.network.cost().macs
    engine = Engine(little)
    assert (engine.threads, engine.threads_of(), engine.threads_of(100)) == (3, 1, 3)
    assert Engine(much).threads_of() == 3
    assert Engine(little, threads=2).threads_of() == 2


@pytest.mark.parametrize("name", ["efficientnet_b0", "squeezenet1_1", "shiftnet_a", "resnet20"])
def test_a_program_counts_the_multiply_adds_of_its_network(name: str) -> None:
    """All of them, but for pixels that nobody reads."""
    file = random_file(name, resolution=64)
    engine = Engine(file)
    planned = engine._ready(file.network.input).program.macs
    wanted = file.network.cost().macs
    assert wanted * 0.9 < planned <= wanted
