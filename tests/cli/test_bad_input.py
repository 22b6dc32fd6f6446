import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

import smidgen as package
from command_line import smidgen
from smidgen import families
from smidgen.modules import create, save
from tiny_set import files, shapes

torch.set_num_threads(1)


class Payload:
    """Pickled, it is a command for the shell of whoever unpickles it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo ran > '{self.marker}'",)


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of good and bad inputs."""
    folder = tmp_path_factory.mktemp("things")
    shapes(folder / "tiny", per_class=6)
    (folder / "empty").mkdir()
    (folder / "texts" / "cat").mkdir(parents=True)
    (folder / "texts" / "cat" / "note.txt").write_text("no picture")
    shutil.copytree(folder / "tiny", folder / "one", ignore=shutil.ignore_patterns("cross", "square"))
    shutil.copytree(folder / "tiny", folder / "broken")
    (folder / "broken" / "cross" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (folder / "loose").mkdir()
    Image.new("L", (4, 4)).save(folder / "loose" / "a.png")
    (folder / "run").mkdir()
    (folder / "run" / "mine.txt").write_text("keep me")
    (folder / "words.txt").write_text("hello")
    network = families.network("resnet20", num_classes=3, c_in=3, resolution=16)
    save(folder / "good.safetensors", network, create(network))
    whole = (folder / "good.safetensors").read_bytes()
    (folder / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "stub.safetensors").write_bytes(whole[:5])
    (folder / "void.safetensors").write_bytes(b"")
    safetensors.numpy.save_file({"x": np.zeros(3, np.float32)}, folder / "foreign.safetensors")
    payload = Payload(folder / "ran")
    for suffix in ("pth", "safetensors"):
        (folder / f"raw.{suffix}").write_bytes(pickle.dumps(payload))
        torch.save({"state_dict": payload}, folder / f"zip.{suffix}")
    torch.save(torch.nn.Linear(2, 2).state_dict(), folder / "linear.pth")
    (folder / "half.pth").write_bytes((folder / "linear.pth").read_bytes()[:400])
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(things: Path, here: Path, command: str) -> str:
    """The one line that a command is refused with; nothing changes on the disk."""
    before = files(here, things)
    outcome = smidgen(*(word.replace("@", f"{things}/") for word in command.split(" ")))
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.endswith("\n")
    assert "Traceback" not in outcome.err
    assert files(here, things) == before
    return outcome.err


FIT, TRAIN = "--budget params=20k", "--model squeezenet1_1"

DATA = [
    ("@nowhere", "no such folder"),
    ("nowhere", "no folder, CSV or set 'nowhere'"),
    ("digit", "did you mean digits?"),
    ("@empty", "no pictures"),
    ("@texts", "no pictures"),
    ("@loose", "lie in no class"),
    ("@one", "only one class, circle"),
    ("@words.txt", "neither a folder nor a CSV"),
]


@pytest.mark.parametrize(
    "command", [f"fit {{}} {FIT}", f"train {{}} {TRAIN}", "check {}", "eval @good.safetensors {}"]
)
@pytest.mark.parametrize(("data", "reason"), DATA)
def test_data_that_nothing_can_learn_from_is_refused(
    things: Path, here: Path, command: str, data: str, reason: str
) -> None:
    assert reason in refusal(things, here, command.format(data))


@pytest.mark.parametrize("command", [f"fit @broken {FIT}", f"train @broken {TRAIN}"])
def test_an_unreadable_picture_is_named_with_the_way_out(things: Path, here: Path, command: str) -> None:
    line = refusal(things, here, command)
    assert "bad.png" in line
    assert "--skip-bad" in line


@pytest.mark.parametrize(
    "command",
    [
        "show squeezenet1_3",
        "count squeezenet1_3",
        "draw squeezenet1_3 -o x.svg",
        "train @tiny --model squeezenet1_3",
        "convert @linear.pth --as squeezenet1_3",
        "predict squeezenet1_3 @tiny/circle",
        "eval squeezenet1_3 @tiny",
        "models squeezenet1_3",
    ],
)
def test_an_unknown_model_is_answered_with_the_nearest_name(things: Path, here: Path, command: str) -> None:
    assert "did you mean squeezenet1_" in refusal(things, here, command)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("scale eficientnet --phi 1", "did you mean efficientnet?"),
        ("draw scaling --family eficientnet -o x.svg", "did you mean efficientnet?"),
        (f"fit @tiny {FIT} --family eficientnet", "did you mean efficientnet?"),
        (f"train @tiny {TRAIN} --recipe smal", "did you mean small?"),
    ],
)
def test_an_unknown_family_or_recipe_is_answered_with_the_nearest_name(
    things: Path, here: Path, command: str, reason: str
) -> None:
    assert reason in refusal(things, here, command)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("fitt @tiny", "no command 'fitt'; did you mean fit?"),
        ("quux", "no command 'quux'; `smidgen --help` lists all"),
        ("--quux", "--quux"),
        (f"fit @tiny {FIT} --quux", "--quux"),
        ("show squeezenet1_1 --jsno", "--json"),
        ("fit @tiny", "--budget"),
        (f"fit {FIT}", "DATA"),
        ("train @tiny", "--model"),
        ("eval @good.safetensors", "DATA"),
        ("predict @good.safetensors", "PICTURES"),
        ("convert @linear.pth", "--as"),
        ("draw squeezenet1_1", "-o"),
        ("show", "NAME|FILE"),
        ("show squeezenet1_1 --classes many", "many"),
        ("show squeezenet1_1 --classes 0", "0"),
        ("show squeezenet1_1 --resolution -3", "-3"),
        ("show squeezenet1_1 surplus", "surplus"),
        ("scale efficientnet", "give one of --phi, --budget, --table, not none"),
        ("scale efficientnet --phi nan", "nan"),
        ("scale efficientnet --phi 1 --table", "not --phi and --table"),
        (
            "scale squeezenet --phi 1 --expand 2",
            "--expand: squeezenet has no such option; it has no options of its own",
        ),
        ("scale squeezenet --table", "there is one of efficientnet"),
        ("scale efficientnet --table --padding same", "nothing more than --json"),
        ("scale shiftnet --phi 1 --expand wide", "--expand wide: a factor above 0, up to 100, is needed"),
        ("show squeezenet_design --pools 0,x", "--pools 0,x: a list as 0,3,7 is needed"),
        ("show squeezenet_design --frequency x", "--frequency x: an integer is needed"),
        ("show shiftnet_a --padding same", "it has --order, --dilation, --layout, --expand of its own"),
        ("show resnet20 --dropped-strides 3", "resnet20 has 2 strides; dropped_strides=3 is more"),
        ("scale resnet --phi 0 --dropped-strides 3", "resnet has 2 strides; dropped_strides=3 is more"),
        ("show shiftnet_a --order best", "there are fused and paper"),
        ("show shiftnet_z --order paper", "did you mean shiftnet_"),
        ("show @good.safetensors --order paper", "options go with a name"),
        ("count squeezenet1_1 --base 64", "--base: only squeezenet_design takes it"),
        (
            "count squeezenet1_1 --base 64 --share-3x3 0.5",
            "--base, --share-3x3: only squeezenet_design takes them",
        ),
        ("draw shift --order paper -o x.svg", "no options of a network"),
        ("scale efficientnet --phi 1 --rule compond", "did you mean compound?"),
        ("scale efficientnet --phi 1 --rule width --alpha 2", "leave out --alpha"),
        ("scale efficientnet --phi 1 --alpha 3", "4.801"),
        ("scale efficientnet --phi 1 --resolution 32 --base-resolution 32", "--base-resolution"),
        (
            "scale resnet --rule resolution --resolution 32 --budget params=9k",
            "nothing is left for this rule",
        ),
        ("scale resnet --budget latency=2ms --device nowhere.json", "nowhere.json: cannot be read"),
        ("fit @tiny --budget latency=2ms --device nowhere.json", "nowhere.json: cannot be read"),
        ("draw shift -o nowhere/x.svg", "no such folder"),
        ("draw squeezenet1_1 --block features.99 -o x.svg", "features.99"),
        ("show @tiny", "tiny"),
        (f"fit @tiny {FIT} --epochs 0", "epochs"),
        (f"fit @tiny {FIT} --resolution 0", "resolution=0"),
        (f"fit @tiny {FIT} --seed -1", "seed=-1"),
        ("eval @good.safetensors @tiny --part best", "best"),
        ("predict @good.safetensors @tiny/circle --top 0", "0"),
        ("train @tiny --model @good.safetensors", "starts from a name"),
        ("show @good.safetensors --classes 5", "options go with a name"),
    ],
)
def test_a_misspelt_call_says_what_was_wrong(things: Path, here: Path, command: str, reason: str) -> None:
    assert reason in refusal(things, here, command)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ("param=3k", "did you mean params?"),
        ("grams=3k", "limits are params, macs, weight_bytes, int8_bytes, peak_bytes"),
        ("params=3x", "'3x' is not a quantity"),
        ("params=64KB", "leave out the B"),
        ("params", "write unit=number"),
        ("params=0", "at least 1"),
        ("params=-5", "a limit must be at least 1"),
        ("params=1k,params=2k", "given twice"),
        (",", "the budget is empty"),
    ],
)
@pytest.mark.parametrize("command", ["fit @tiny --budget {}", "scale resnet --budget {}"])
def test_a_budget_that_cannot_be_read_says_why(
    things: Path, here: Path, command: str, budget: str, reason: str
) -> None:
    assert reason in refusal(things, here, command.format(budget))


@pytest.mark.parametrize("unit", ["params", "macs", "weight_bytes", "int8_bytes", "peak_bytes"])
def test_an_impossible_budget_names_the_smallest_cost_of_every_family(
    things: Path, here: Path, unit: str
) -> None:
    line = refusal(things, here, f"fit @tiny --budget {unit}=1")
    for family in families.families():
        cost = line.partition(f"{family} {unit}=")[2].split(";")[0].strip().replace(",", "")
        assert int(cost) > 1


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("half.safetensors", "truncated or not a model file"),
        ("stub.safetensors", "truncated or not a model file"),
        ("void.safetensors", "truncated or not a model file"),
        ("foreign.safetensors", "without a network"),
        ("words.txt", "not a model file"),
        ("linear.pth", "linear.pth --as NAME` reads its weights"),
        ("missing.safetensors", "no such file"),
        ("tiny", "tiny"),
    ],
)
@pytest.mark.parametrize(
    "command",
    ["show {}", "count {}", "draw {} -o x.svg", "predict {} @tiny/circle", "eval {} @tiny"],
)
def test_a_file_that_is_no_whole_model_is_refused(
    things: Path, here: Path, command: str, file: str, reason: str
) -> None:
    assert reason in refusal(things, here, command.format(f"@{file}"))


def test_the_payload_runs_for_whoever_unpickles_it(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("file", ["raw.pth", "zip.pth", "raw.safetensors", "zip.safetensors"])
@pytest.mark.parametrize(
    "command",
    [
        "show {}",
        "count {}",
        "draw {} -o x.svg",
        "predict {} @tiny/circle",
        "eval {} @tiny",
        "convert {} --as squeezenet1_1 -o x.safetensors",
        "convert {} --as squeezenet1_1 -o x.safetensors --force",
    ],
)
def test_code_in_a_pickle_is_never_run(things: Path, here: Path, command: str, file: str) -> None:
    line = refusal(things, here, command.format(f"@{file}"))
    assert any(reason in line for reason in ("code", "which is not run", "is no file of torch.save"))
    assert not (things / "ran").exists()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("missing.pth", "No such file"),
        ("half.pth", "truncated"),
        ("words.txt", "no file of torch.save"),
        ("linear.pth", "do not fit squeezenet1_1"),
        ("tiny", "directory"),
    ],
)
def test_weights_that_are_not_the_networks_are_not_converted(
    things: Path, here: Path, file: str, reason: str
) -> None:
    assert reason in refusal(things, here, f"convert @{file} --as squeezenet1_1 -o x.safetensors")


def test_converting_does_not_replace_a_file_unasked(things: Path, here: Path) -> None:
    line = refusal(things, here, "convert @linear.pth --as squeezenet1_1 -o @good.safetensors")
    assert "only a model file of `smidgen convert` is written over" in line


@pytest.mark.parametrize("command", [f"fit @tiny {FIT}", f"train @tiny {TRAIN}"])
@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("@run", "a run is never overwritten"),
        ("@words.txt", "a run is never overwritten"),
        ("@words.txt/run", "cannot be created"),
    ],
)
def test_a_run_folder_that_cannot_be_new_is_refused(
    things: Path, here: Path, command: str, out: str, reason: str
) -> None:
    assert reason in refusal(things, here, f"{command} --out {out}")


@pytest.mark.parametrize(
    "command", ["predict @good.safetensors @nowhere.png", "predict @good.safetensors @empty"]
)
def test_pictures_that_are_not_there_are_refused(things: Path, here: Path, command: str) -> None:
    assert "@".join(command.split("@")[2:]) in refusal(things, here, command)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fitt"],
        ["fit", "nowhere", "--budget", "params=20k"],
        ["show", "half.safetensors"],
        ["predict", "raw.pth", "."],
    ],
)
def test_a_process_of_its_own_is_as_brief(things: Path, here: Path, arguments: list[str]) -> None:
    for name in ("half.safetensors", "raw.pth"):
        shutil.copy(things / name, here)
    Image.new("L", (4, 4)).save(here / "a.png")
    before = files(here)
    done = subprocess.run(
        [sys.executable, "-m", "smidgen", *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert files(here) == before
