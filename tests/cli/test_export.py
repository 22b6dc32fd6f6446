"""`smidgen export`: what it writes answers as the engine, and what it cannot write it refuses in one line."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import smidgen as package
from command_line import smidgen
from smidgen import modelfile
from smidgen.graph import Aspect
from smidgen.program.drawn import draw_weights
from smidgen.spec import WeightsError
from tiny_set import files

Outputs: TypeAlias = NDArray[np.float32]

DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"
NETWORK = replace(
    package.network("shiftresnet20_e1", num_classes=3, resolution=16), classes=("cat", "dog", "猫\x1b[31m")
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model, a picture and files of somebody else."""
    modelfile.write(tmp_path / "model.safetensors", modelfile.ModelFile(NETWORK, draw_weights(NETWORK)))
    noise = np.random.default_rng(0).integers(0, 256, (37, 29, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "cat.jpg")
    (tmp_path / "mine.onnx").write_bytes(b"mine")
    (tmp_path / "mine.json").write_bytes(b"{}")
    os.link(tmp_path / "model.safetensors", tmp_path / "hard.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def done(*arguments: object) -> str:
    outcome = smidgen("export", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


def documented(heading: str) -> str:
    """The Python below a heading of the document."""
    section = DOCUMENT.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


def answer(heading: str) -> Outputs:
    """The outputs that the example below a heading of the document gets."""
    names: dict[str, Any] = {}
    exec(documented("A picture, for any of them") + documented(heading), names)
    return np.asarray(names["logits"], np.float32).reshape(-1)


def of_the_engine() -> Outputs:
    from smidgen.images import decode, normalise, resize

    network = modelfile.read("model.safetensors").network
    pixels = resize(decode("cat.jpg", 3), network.input, network.preprocess)
    outputs: Outputs = package.Engine("model.safetensors")(normalise(pixels[None], network.preprocess))
    return outputs.reshape(-1)


@pytest.mark.parametrize("shift", [[], ["--shift", "slices"], ["--shift", "depthwise"], ["--batch", 1]])
def test_the_example_for_onnx_runtime_answers_as_the_engine(place: Path, shift: list[object]) -> None:
    done("model.safetensors", "--to", "onnx", *shift)
    assert np.allclose(answer("ONNX Runtime"), of_the_engine(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("aspect", "line"),
    [
        ("squash", "  picture  RGB, squashed to 16x16 (bilinear)"),
        ("pad", "  picture  RGB, fitted into 16x16 (bilinear), the rest filled with 124, 116, 104"),
    ],
)
def test_the_example_squashes_and_pads_as_the_engine(place: Path, aspect: Aspect, line: str) -> None:
    network = replace(NETWORK, preprocess=replace(NETWORK.preprocess, aspect=aspect))
    modelfile.write(place / "model.safetensors", modelfile.ModelFile(network, draw_weights(network)))
    assert line in done("model.safetensors", "--to", "onnx").splitlines()
    assert np.allclose(answer("ONNX Runtime"), of_the_engine(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shift", ["slices", "depthwise"])
def test_the_example_for_ncnn_answers_as_the_engine(place: Path, shift: str) -> None:
    pytest.importorskip("ncnn")
    done("model.safetensors", "--to", "ncnn", "-o", "cats.param", "--shift", shift)
    assert np.allclose(answer("ncnn"), of_the_engine(), rtol=1e-4, atol=1e-4)


def test_the_example_from_python_writes_what_it_says(place: Path) -> None:
    import onnx

    exec(documented("From Python"), {})
    onnx.checker.check_model("mine-too.onnx")
    assert "Slice" not in {node.op_type for node in onnx.load("mine-too.onnx").graph.node}


def test_files_lie_beside_the_model_and_are_named_with_their_sizes(place: Path) -> None:
    (place / "run").mkdir()
    (place / "model.safetensors").rename(place / "run" / "best.v2.safetensors")
    lines = done("run/best.v2.safetensors", "--to", "ncnn").splitlines()
    for suffix, line in zip((".param", ".bin", ".json"), lines, strict=False):
        assert line.startswith(f"run/best.v2{suffix}: ")
        assert (place / f"run/best.v2{suffix}").is_file()
    assert "  input    x, float32[3, 16, 16]" in lines
    assert "  output   logits, float32[3], before softmax" in lines


def test_a_form_of_shifts_is_told_to_change_nothing_where_there_are_none(place: Path) -> None:
    dense = package.network("resnet20", num_classes=3, resolution=16)
    modelfile.write(place / "dense.safetensors", modelfile.ModelFile(dense, draw_weights(dense)))
    outcome = smidgen("export", "dense.safetensors", "--to", "ncnn", "--shift", "depthwise")
    told = "dense.safetensors has no shifts: --shift depthwise changes nothing\n"
    assert (outcome.code, outcome.err) == (0, told)


def test_json_names_the_files_and_says_what_their_user_must_know(place: Path) -> None:
    found = json.loads(done("model.safetensors", "--to", "onnx", "-o", "x.onnx", "--json"))
    assert found["target"] == "onnx"
    assert found["files"] == [{"path": "x.onnx", "bytes": (place / "x.onnx").stat().st_size}]
    assert found["input"] == {"name": "x", "type": "float32", "shape": ["N", 3, 16, 16]}
    assert found["classes"] == [*NETWORK.classes]


def test_a_published_name_is_exported_into_the_current_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = modelfile.read("model.safetensors")
    monkeypatch.setattr("smidgen.weights.conversion.converted", lambda _: kept)
    assert done("squeezenet1_1", "--to", "onnx").startswith("squeezenet1_1.onnx: ")
    assert (place / "squeezenet1_1.onnx").is_file()


REFUSED = [
    ("model.safetensors --to onx", "no target 'onx'; did you mean onnx? targets are"),
    ("model.safetensors --to ../targets/onnx", "no target '../targets/onnx'"),
    ("model.safetensors", "Missing option '--to'"),
    ("model.safetensors --to ncnn --batch 2", "--batch: ncnn has no such option; it has --shift"),
    ("model.safetensors --to onnx --batch 0", "0 is not in the range"),
    ("model.safetensors --to onnx --shift roll", "'roll' is not one of"),
    ("nothing.safetensors --to onnx", "nothing.safetensors: no such file"),
    ("nowhere/m.safetensors --to onnx", "nowhere/m.safetensors: no such file"),
    ("squeezenet1_3 --to onnx", "did you mean squeezenet1_"),
    ("shiftnet_a --to onnx", "shiftnet_a has no published weights"),
    ("cat.jpg --to onnx", "cat.jpg: not a model file"),
    ("model.safetensors --to onnx -o .", "call it model.onnx"),
    ("model.safetensors --to onnx -o x", "'x': a file for onnx ends in .onnx; call it x.onnx"),
    ("model.safetensors --to ncnn -o x.bin", "call it x.param"),
    ("model.safetensors --to onnx -o model.safetensors", "call it model.onnx"),
    ("model.safetensors --to onnx -o --json", "call it"),
    ("model.safetensors --to onnx -o -x.onnx", "for a file of that name write ./-x.onnx"),
    ("model.safetensors --to onnx -o nowhere/x.onnx", "nowhere: no such folder to write x.onnx into"),
    ("model.safetensors --to onnx -o /proc/x.onnx", "cannot be written"),
    (
        "model.safetensors --to onnx -o mine.onnx",
        "mine.onnx holds something else, and only an export to",
    ),
    (
        "model.safetensors --to ncnn -o mine.param",
        "mine.json holds something else, and only an export to",
    ),
    ("model.safetensors --to onnx -o hard.onnx", "hard.onnx: this command reads it"),
    ("hard.onnx --to onnx", "hard.onnx: this command reads it"),
]


@pytest.mark.parametrize(("line", "reason"), REFUSED)
def test_what_cannot_be_exported_is_refused_before_the_work(
    place: Path, monkeypatch: pytest.MonkeyPatch, line: str, reason: str
) -> None:
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it worked before it looked")

    monkeypatch.setattr("smidgen.weights.open_model", worked)
    before = files(place)
    outcome = smidgen("export", *line.split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert reason in outcome.err
    assert files(place) == before


def test_without_the_package_that_writes_a_target_it_says_what_to_install(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    outcome = smidgen("export", "model.safetensors", "--to", "onnx")
    assert (outcome.code, outcome.err) == (2, "onnx needs onnx: pip install 'smidgen[export]'\n")
    assert done("model.safetensors", "--to", "ncnn")


def test_without_torch_a_name_that_was_never_read_says_what_to_install(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.weights.conversion.converted", lambda _: None)
    monkeypatch.setitem(sys.modules, "torch", None)
    before = files(place)
    outcome = smidgen("export", "squeezenet1_1", "--to", "onnx")
    told = "reading the published weights of squeezenet1_1, once, needs torch: pip install 'smidgen[train]'\n"
    assert (outcome.code, outcome.err) == (2, told)
    assert files(place) == before


def test_weights_that_cannot_be_had_are_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise WeightsError("gone")

    monkeypatch.setattr("smidgen.weights.conversion.converted", gone)
    outcome = smidgen("export", "squeezenet1_1", "--to", "onnx")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", "gone\n")
