"""Every file in `export/targets/` is a target; what it writes is known again, and is whole or not there."""

from __future__ import annotations

import dataclasses
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import smidgen
from command_line import smidgen as run
from smidgen import atomic, export, modelfile
from smidgen.export import targets, writing
from smidgen.export.targets import Options
from smidgen.export.targets import onnx as onnx_target
from smidgen.export.usage import INPUT, OUTPUT, usage
from smidgen.graph import Aspect
from smidgen.program.drawn import draw_weights
from smidgen.spec import SmidgenError, UnknownNameError
from tiny_set import files

NETWORK = dataclasses.replace(
    smidgen.network("shiftresnet20_e1", num_classes=3, resolution=16), classes=("chat", "猫", "a\udcff")
)
WEIGHTS = draw_weights(NETWORK)
DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.mark.parametrize("name", targets.names())
def test_every_file_is_a_target(name: str) -> None:
    target = targets.load(name)
    assert target.SUMMARY.endswith(".")
    assert "\n" not in target.SUMMARY
    assert target.SUFFIXES
    assert all(suffix.startswith(".") for suffix in target.SUFFIXES)
    assert {*target.OPTIONS} <= {field.name for field in dataclasses.fields(Options)}
    told = target.usage(NETWORK, Options())
    assert (told["input"]["name"], told["output"]["name"]) == (INPUT, OUTPUT)
    content = target.content(NETWORK, WEIGHTS, Options())
    assert set(content) == {*target.SUFFIXES}
    assert content == target.content(NETWORK, WEIGHTS, Options())


@pytest.mark.parametrize("name", targets.names())
def test_an_export_is_known_until_a_byte_of_it_is_another(name: str, tmp_path: Path) -> None:
    target = targets.load(name)
    written = export.write(NETWORK, WEIGHTS, name, tmp_path / f"m.v1{target.SUFFIXES[0]}")
    assert [path.name for path in written] == [f"m.v1{suffix}" for suffix in target.SUFFIXES]
    for path in written:
        assert target.is_ours(path)
        whole = path.read_bytes()
        for changed in (whole + b" ", whole[:-1], b" " + whole[1:], b""):
            path.write_bytes(changed)
            assert not target.is_ours(path)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", targets.names())
def test_an_export_is_written_over_with_other_options_and_nothing_else_is(name: str, tmp_path: Path) -> None:
    suffixes = targets.load(name).SUFFIXES
    path = tmp_path / f"m{suffixes[0]}"
    for shift in ("slices", "depthwise", "slices"):
        options = Options(shift=shift) if "shift" in targets.load(name).OPTIONS else Options()
        export.write(NETWORK, WEIGHTS, name, path, options)
    for suffix in suffixes:
        path.with_suffix(suffix).write_bytes(b"mine")
        before = files(tmp_path)
        with pytest.raises(SmidgenError, match=f"only an export to {name} that nobody has changed"):
            export.write(NETWORK, WEIGHTS, name, path)
        assert files(tmp_path) == before
        for other in suffixes:
            path.with_suffix(other).unlink()
        export.write(NETWORK, WEIGHTS, name, path)


def test_where_a_file_cannot_be_written_to_its_end_no_other_of_the_export_is_changed(tmp_path: Path) -> None:
    export.write(NETWORK, WEIGHTS, "ncnn", tmp_path / "m.param", Options(shift="depthwise"))
    before, limits = files(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # bytes: fewer than the weights have
    try:
        with pytest.raises(SmidgenError, match=r"m\.bin: cannot be written \(File too large\)"):
            export.write(NETWORK, WEIGHTS, "ncnn", tmp_path / "m.param")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path) == before


def test_what_appears_during_the_writing_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = writing._put

    def appears(content: bytes, temporary: Path, file: Path) -> None:
        (tmp_path / "m.bin").write_text("somebody's")
        put(content, temporary, file)

    monkeypatch.setattr(writing, "_put", appears)
    with pytest.raises(SmidgenError, match=r"m\.bin holds something else"):
        export.write(NETWORK, WEIGHTS, "ncnn", tmp_path / "m.param")
    assert files(tmp_path) == {str(tmp_path / "m.bin"): b"somebody's"}


def test_what_a_user_must_know_is_what_the_network_is() -> None:
    network = dataclasses.replace(
        NETWORK, preprocess=smidgen.Preprocess(resize=20, interpolation="bicubic", mean=(0.1, 0.2, 0.3))
    )
    told = usage(network, ["N"])
    assert told["input"] == {"name": "x", "type": "float32", "shape": ["N", 3, 16, 16]}
    assert told["output"]["shape"] == ["N", 3]
    assert told["classes"] == ["chat", "猫", "a\udcff"]
    how = told["preprocess"]
    assert (how["colour"], how["resize_shorter_side"], how["interpolation"]) == ("RGB", 20, "bicubic")
    assert (how["centre_crop"], how["subtract_mean"], how["divide_by_std"]) == (
        [16, 16],
        [0.1, 0.2, 0.3],
        [0.5, 0.5, 0.5],
    )


@pytest.mark.parametrize(
    ("aspect", "sizes"),
    [
        ("crop", {"resize_shorter_side": 20, "centre_crop": [16, 16]}),
        ("squash", {"squash_to": [16, 16]}),
        ("pad", {"pad_to": [16, 16], "fill": [26, 128, 255]}),
    ],
)
def test_each_way_to_the_networks_size_has_keys_of_its_own(aspect: Aspect, sizes: dict[str, object]) -> None:
    how = smidgen.Preprocess(20, "bicubic", mean=(0.1, 0.5, 1.0), aspect=aspect)
    told = usage(dataclasses.replace(NETWORK, preprocess=how))["preprocess"]
    others = {"colour", "interpolation", "divide_by", "subtract_mean", "divide_by_std"}
    assert {key: value for key, value in told.items() if key not in others} == sizes


def test_onnx_tells_it_in_its_metadata_and_is_otherwise_the_model_of_to_onnx() -> None:
    content = targets.load("onnx").content(NETWORK, WEIGHTS, Options(batch=2))[".onnx"]
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told.keys() == {*usage(NETWORK), "sha256"}
    assert told["classes"] == r'["chat", "猫", "a\udcff"]'
    del model.metadata_props[:]
    assert model == export.to_onnx(NETWORK, WEIGHTS, batch=2)


def test_a_network_whose_name_is_in_no_known_encoding_is_exported_too() -> None:
    network = dataclasses.replace(NETWORK, name="\udcff")
    for name in targets.names():
        assert targets.load(name).content(network, WEIGHTS, Options())


def test_weights_that_an_onnx_file_cannot_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_target, "MOST_BYTES", sum(array.nbytes for array in WEIGHTS.values()) - 1)
    with pytest.raises(SmidgenError, match=r"GiB of weights, and an ONNX file holds less than 2 GiB"):
        onnx_target.content(NETWORK, WEIGHTS, Options())


def test_an_unknown_target_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no target 'onx'; did you mean onnx"):
        targets.load("onx")


def test_a_file_in_the_folder_is_all_that_a_target_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of the document, in a folder of its own."""
    (example,) = (
        code
        for code in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
        if "SUMMARY" in code
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "weights_only.py").write_text(example)
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(tmp_path / "more")])
    monkeypatch.chdir(tmp_path)
    modelfile.write("m.safetensors", modelfile.ModelFile(NETWORK, WEIGHTS))
    try:
        assert "weights-only" in run("export", "--help").out
        for _ in range(2):
            outcome = run("export", "m.safetensors", "--to", "weights-only")
            assert (outcome.code, outcome.err) == (0, "")
        with np.load("m.npz") as found:
            assert {name: array.shape for name, array in found.items()} == {
                name: array.shape for name, array in WEIGHTS.items()
            }
        other = run("export", "m.safetensors", "--to", "ncnn")  # whose .json would have the same name
        assert "m.json holds something else" in other.err
        refused = run("export", "m.safetensors", "--to", "weights-only", "--batch", 2)
        assert refused.err == "--batch: weights-only has no such option; it has no options\n"
    finally:
        sys.modules.pop("smidgen.export.targets.weights_only", None)
        vars(targets).pop("weights_only", None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "SUMMARY, SUFFIXES, OPTIONS = 'Mine.', ('.x',), ()",
            "no target, for it has no PACKAGES and no content",
        ),
        ("import nothing_of_that_name", "cannot be imported (ModuleNotFoundError: No module named"),
    ],
)
def test_a_broken_target_file_names_itself(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(tmp_path)])
    refused = run("export", "--help")
    sys.modules.pop("smidgen.export.targets.mine", None)
    vars(targets).pop("mine", None)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.startswith(f"{tmp_path / 'mine.py'}: {says}")


def test_listing_the_targets_loads_no_package_of_theirs() -> None:
    code = (
        "import sys; from smidgen import export; from smidgen.export import targets, writing\n"
        "[targets.load(name) for name in targets.names()]\n"
        "print(sorted({'torch', 'onnx', 'ncnn'} & sys.modules.keys()), export.to_ncnn.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] to_ncnn\n"


def test_public_names_of_the_layer_are_there() -> None:
    assert all(getattr(export, name) for name in export.__all__)
    with pytest.raises(AttributeError, match="no attribute 'to_tflite'"):
        export.__getattr__("to_tflite")


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("m", "m.onnx"),
        ("a/m.param", "a/m.onnx"),
        ("m.v1", "m.onnx"),
        ("", "model.onnx"),
        ("..", "../model.onnx"),
    ],
)
def test_a_name_with_another_ending_is_refused_with_a_better_one(name: str, better: str) -> None:
    with pytest.raises(SmidgenError) as refused:
        writing.paths("onnx", Path(name))
    assert str(refused.value).endswith(f"ends in .onnx; call it {better}")


def test_a_link_is_followed_and_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "m.onnx").symlink_to("far/m.onnx")
    for _ in range(2):
        export.write(NETWORK, WEIGHTS, "onnx", tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").is_symlink()
    assert onnx_target.is_ours(tmp_path / "far" / "m.onnx")
    assert atomic.identity(tmp_path / "m.onnx") == atomic.identity(tmp_path / "far" / "m.onnx")
