"""Every file in `bench/rivals/` is a rival; its process is ready, stopped, and answers as the engine does."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import smidgen
from smidgen import modelfile, native
from smidgen.bench import rivals
from smidgen.bench.plain import read
from smidgen.bench.process import RivalError, Worker, cold_start
from smidgen.bench.runner import OURS, Timing, _picture
from smidgen.bench.worker import receive, send
from smidgen.engine import Engine
from smidgen.graph import Aspect
from smidgen.images import decode, normalise, resize
from smidgen.program import draw_weights
from smidgen.spec import UnknownNameError

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")

NETWORK = smidgen.network("shiftresnet20_e1", num_classes=7, resolution=16)
X = np.random.default_rng(1).standard_normal((2, *NETWORK.input[:3]), np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    modelfile.write(path, modelfile.ModelFile(NETWORK, draw_weights(NETWORK)))
    return path


@pytest.mark.parametrize("name", rivals.names())
def test_every_file_is_a_rival(name: str) -> None:
    rival = rivals.load(name)
    assert all(callable(getattr(rival, member)) for member in ("artefact", "prepare", "read"))
    assert (rival.PRECISION, type(rival.PACKAGE)) == ("fp32", str)
    assert "\n" not in rival.available()
    for shifts in (False, True):
        settings = rival.settings(shifts)
        assert settings
        assert len(set(settings)) == len(settings)


SETTINGS = [
    pytest.param(name, setting, marks=[pytest.mark.slow] if name == "torch-compile" else [])
    for name in rivals.names()
    for setting in rivals.load(name).settings(shifts=True)
]


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_every_setting_answers_as_the_engine(name: str, setting: str, model: Path, tmp_path: Path) -> None:
    rival = rivals.load(name)
    if why := rival.available():
        pytest.skip(why)
    artefact = rival.artefact(model, setting, len(X), tmp_path)
    wanted = Engine(model, threads=1)(X)
    with Worker(name, artefact, setting, 1, X) as worker:
        assert np.abs(worker.answer - wanted).max() <= 1e-4 * np.abs(wanted).max()
        assert all(ms > 0 for ms in worker.turn())
        peak, library = worker.memory()
        assert 10e6 < peak < 10e9
        assert 10e3 < library < 10e9


def test_a_process_is_stopped_outside_its_turn_and_gone_after_the_last(model: Path) -> None:
    with Worker(OURS, model, "", 1, X) as worker:
        worker.turn()
        status = Path(f"/proc/{worker._process.pid}/status")
        assert "State:\tT" in status.read_text()
    assert worker._process.returncode == 0


def test_what_goes_wrong_in_a_process_is_one_line(model: Path, tmp_path: Path) -> None:
    with pytest.raises(RivalError, match=r"^smidgen: ModelFileError: .*none.safetensors: no such file$"):
        Worker(OURS, tmp_path / "none.safetensors", "", 1, X)
    with Worker(OURS, model, "", 1, X) as worker:
        worker._process.kill()
        with pytest.raises(RivalError, match="its process ended"):
            worker.turn()


def test_a_cold_start_that_fails_is_an_error(model: Path) -> None:
    request = {"rival": OURS, "artefact": str(model), "threads": 1, "setting": "", "picture": "none.png"}
    with pytest.raises(RivalError, match="did not name the picture"):
        cold_start({**request, "shape": NETWORK.input[:3], "preprocess": {"resize": 16}})


def test_messages_and_numbers_arrive_as_they_were_sent() -> None:
    stream = io.BytesIO()
    send(stream, {"do": "prepare"}, X)
    send(stream, {"do": "turn"})
    stream.seek(0)
    first, second, end = receive(stream), receive(stream), receive(stream)
    assert first is not None
    assert first[0]["do"] == "prepare"
    assert first[1] is not None
    assert np.array_equal(first[1], X)
    assert (second, end) == (({"do": "turn"}, None), None)


@pytest.mark.parametrize("aspect", ["crop", "squash", "pad"])
def test_others_read_a_picture_much_as_we_do(tmp_path: Path, aspect: Aspect) -> None:
    picture = _picture(tmp_path)
    how = smidgen.Preprocess(40, "bicubic", aspect=aspect)
    shape = smidgen.Shape(3, 32, 32)
    ours = normalise(resize(decode(picture, 3), shape, how)[None], how)
    theirs = read(str(picture), list(shape[:3]), asdict(how))
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).mean() < 0.02


@pytest.mark.parametrize("name", ["efficientnet_b0", "squeezenet1_1", "shiftnet_c", "resnet110"])
def test_drawn_weights_give_numbers_of_a_sane_scale(name: str) -> None:
    network = smidgen.network(name, resolution=64)
    answer = Engine((network, draw_weights(network)))(X[:1, :, :8, :8].repeat(8, 2).repeat(8, 3))
    assert 1e-20 < np.abs(answer).max() < 1e20


def row(turns: Sequence[float], alone: float, against: Sequence[float]) -> Timing:
    its, single, ours = ([[ms] * 10 for ms in taken] for taken in (turns, [alone], against))
    return Timing("onnxruntime", "1", "fp32", 4, "spin", its, single, ours, 1, 1, 0.0)


def test_ratios_are_paired_by_round() -> None:
    made = row([2, 6, 12], 6.3, [1, 2, 3])
    assert (made.ratios, made.median, made.pictures_per_second) == ([2, 3, 4], 6, 4000 / 6)
    assert not made.interferes
    assert row([6], 5, [1]).interferes


def test_an_unknown_rival_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean onnxruntime"):
        rivals.load("onxruntime")


def test_the_parent_loads_neither_torch_nor_any_other_runtime() -> None:
    code = (
        "import sys; from smidgen.bench import plot, rivals, runner, worker\n"
        "[rivals.load(name).available() for name in rivals.names()]\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'ncnn', 'matplotlib'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
