import csv
import functools
import io
import json
import math
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import smidgen as package
from command_line import smidgen
from smidgen import families, modelfile, report
from smidgen.cli import COMMANDS
from smidgen.graph import layers, parameters
from smidgen.modules import create, load, save
from smidgen.scaling import device, measure
from tiny_set import COLOURS, shapes

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tiny data set, and the run of a network trained on it."""
    folder = tmp_path_factory.mktemp("place")
    shapes(folder / "tiny")
    done("train", folder / "tiny", "--model", "squeezenet1_1", "--epochs", 2, "--out", folder / "run")
    return folder


@pytest.fixture
def model(place: Path) -> Path:
    return place / "run" / "model.safetensors"


def done(*arguments: object) -> str:
    """Stdout of a command that succeeds and has nothing to complain about."""
    outcome = smidgen(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_count_ends_with_the_published_number_of_parameters() -> None:
    assert done("count", "efficientnet_b0").splitlines()[-1] == "5288548"


@pytest.mark.parametrize("name", ["efficientnet_b0", "squeezenet1_0", "shiftresnet20_e1", "resnet20"])
def test_count_as_json_and_as_csv_hold_every_parameter_of_the_tree(name: str) -> None:
    expected = {key: math.prod(shape) for key, shape in parameters(families.network(name).tree)}
    counted = json.loads(done("count", name, "--json"))
    assert counted == {"parameters": expected, "total": sum(expected.values())}
    rows = table(done("count", name, "--csv", "-"))
    assert {row["module"]: int(row["parameters"]) for row in rows} == expected


def test_count_of_a_varied_network_is_that_of_its_variation() -> None:
    network = families.network("squeezenet1_1", num_classes=7, c_in=1)
    counted = json.loads(done("count", "squeezenet1_1", "--classes", 7, "--channels", 1, "--json"))
    assert counted["total"] == network.cost().params


@pytest.mark.parametrize("name", ["efficientnet_b0", "squeezenet1_0", "shiftresnet20_e1", "resnet20"])
def test_show_as_json_agrees_with_the_tree(name: str) -> None:
    network = families.network(name)
    cost, shown = network.cost(), json.loads(done("show", name, "--json"))
    for unit in ("params", "buffers", "macs", "elementwise", "peak_bytes"):
        assert shown[unit] == getattr(cost, unit)
    assert (shown["name"], shown["family"], shown["classes"]) == (name, network.family, network.num_classes)
    assert shown["weight_bytes"] == modelfile.weight_bytes(network)
    expected = layers(network.tree, network.input)
    assert [row["layer"] for row in shown["layers"]] == [row.path for row in expected]
    assert sum(row["params"] for row in shown["layers"]) == cost.params
    assert sum(row["MACs"] for row in shown["layers"]) == cost.macs


def test_show_as_csv_holds_the_rows_of_the_json() -> None:
    rows = json.loads(done("show", "squeezenet1_1", "--json"))["layers"]
    expected = [{key: str(value) for key, value in row.items()} for row in rows]
    assert table(done("show", "squeezenet1_1", "--csv", "-")) == expected


def test_show_says_what_it_left_out_and_which_strides_it_dropped() -> None:
    text = done("show", "squeezenet1_1", "--resolution", 32)
    assert families.network("squeezenet1_1", resolution=32).dropped_strides == 1
    assert "the first stride became 1, because the pictures are small" in text
    assert "left out" in text


def test_show_gives_the_smallness_of_pictures_as_the_reason_only_where_it_is_one(tmp_path: Path) -> None:
    asked = done("show", "resnet20", "--dropped-strides", 1)
    assert "dropped       the first stride became 1, as asked" in asked
    network = families.network("resnet20", num_classes=2, dropped_strides=1)
    save(tmp_path / "m.safetensors", network, create(network))
    assert done("show", tmp_path / "m.safetensors").endswith("the first stride became 1\n")


def test_show_unfolds_on_demand() -> None:
    folded, unfolded = (done("show", "efficientnet_b0", *more).splitlines() for more in ((), ("--all",)))
    network = families.network("efficientnet_b0")
    assert len(folded) < 50
    assert len(unfolded) > len(layers(network.tree, network.input))


def test_show_of_a_model_file_is_of_the_network_in_it(model: Path) -> None:
    shown = json.loads(done("show", model, "--json"))
    assert shown["params"] == modelfile.read(model).network.cost().params
    assert shown["classes"] == 3


def test_models_lists_every_name_with_the_costs_of_its_tree() -> None:
    rows = json.loads(done("models", "--json"))
    assert [row["name"] for row in rows] == list(families.names())
    for row in rows:
        cost = families.network(row["name"]).cost()
        assert (row["params"], row["MACs"]) == (cost.params, cost.macs)


def test_models_lists_only_what_matches_a_pattern() -> None:
    names = [row["name"] for row in table(done("models", "squeezenet1_*", "--csv", "-"))]
    assert names == list(families.names("squeezenet1_*"))
    assert {"squeezenet1_0", "squeezenet1_1"} <= set(names)


def test_scaling_efficientnet_by_nothing_is_b0() -> None:
    scaled = json.loads(done("scale", "efficientnet", "--phi", 0, "--json"))
    assert (scaled["params"], scaled["input"]) == (5_288_548, [3, 224, 224])


@pytest.mark.parametrize("family", list(families.families()))
def test_scaling_into_a_budget_obeys_all_its_limits(family: str) -> None:
    limits = {"params": 60_000, "macs": 3_000_000, "peak_bytes": 400_000, "weight_bytes": 400_000}
    budget = ", ".join(f"{unit}={limit}" for unit, limit in limits.items())
    arguments = (family, "--budget", budget, "--classes", 10, "--channels", 1, "--resolution", 28)
    scaled = json.loads(done("scale", *arguments, "--json"))
    assert all(scaled[unit] <= limit for unit, limit in limits.items())
    assert scaled["binding"] in limits
    text = done("scale", *arguments)
    assert f"{scaled['params']:,}" in text
    assert scaled["binding"] in text


def test_scaling_into_a_budget_says_how_much_of_each_limit_is_left() -> None:
    arguments = ("resnet", "--budget", "params=60k, macs=30M", "--classes", 10, "--resolution", 32)
    scaled = json.loads(done("scale", *arguments, "--json"))
    assert scaled["slack"] == {
        "params": 1 - scaled["params"] / 60_000,
        "macs": 1 - scaled["macs"] / 30_000_000,
    }
    assert f"params {100 * scaled['slack']['params']:.1f} %" in done("scale", *arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("strategies", ["strategies"]),
        ("fire", ["squeezenet1_0", "--block", "features.3"]),
        ("pools", ["squeezenet1_1", "squeezenet1_0"]),
    ],
)
def test_pictures_of_the_squeezenet_page_are_as_the_command_draws_them(
    name: str, arguments: list[str], tmp_path: Path
) -> None:
    done("draw", *arguments, "-o", tmp_path / "drawn.svg")
    kept = Path(__file__).parents[2] / f"docs/pictures/{name}.svg"
    assert (tmp_path / "drawn.svg").read_text(encoding="utf-8") == kept.read_text(encoding="utf-8")


def test_a_rule_is_chosen_by_name_or_by_its_factors() -> None:
    wider = done("scale", "efficientnet", "--phi", 2, "--rule", "width", "--json")
    root = str(2**0.5)
    same = json.loads(
        done("scale", "efficientnet", "--phi", 2, "--alpha", 1, "--beta", root, "--gamma", 1, "--json")
    )
    found = json.loads(wider)
    assert [found[unit] for unit in ("params", "macs", "multipliers")] == [
        same[unit] for unit in ("params", "macs", "multipliers")
    ]
    assert (found["rule"], found["family"], found["input"]) == ("width", "efficientnet", [3, 224, 224])
    steep = ("scale", "efficientnet", "--phi", 1, "--alpha", 3, "--json")
    assert "4.801" in smidgen(*steep).err
    assert json.loads(done(*steep, "--unconstrained"))["phi"] == 1


def test_a_resolution_stays_or_is_where_the_rule_begins() -> None:
    def side(*arguments: object) -> int:
        return int(json.loads(done("scale", "resnet", "--phi", 3, *arguments, "--json"))["input"][1])

    assert side("--resolution", 57) == 57
    assert side("--base-resolution", 64) == 96  # 64 · 1.15³ = 97.3, to the nearest multiple of 8
    assert side() == 344  # 224 · 1.15³ = 340.7


def test_check_as_json_says_what_is_in_the_folder(place: Path, tmp_path: Path) -> None:
    found = json.loads(done("check", place / "tiny", "--json"))
    assert found["classes"] == dict.fromkeys(COLOURS, 20)
    assert found["channels"] == 3
    assert (found["unreadable"], found["identical"], found["in_two_classes"]) == ([], [], [])
    assert "60 usable pictures in 3 classes, colour" in done("check", place / "tiny")


def test_check_refuses_unreadable_pictures_and_warns_of_contradictory_ones(
    place: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(place / "tiny", data)
    assert smidgen("check", data).code == 0
    shutil.copy(data / "circle" / "000.png", data / "cross" / "circle.png")
    twice = smidgen("check", data, "--json")
    assert (twice.code, twice.err) == (0, "")
    assert json.loads(twice.out)["in_two_classes"] == [["circle/000.png", "cross/circle.png"]]
    (data / "cross" / "circle.png").write_bytes(b"no picture")
    unreadable = smidgen("check", data, "--json")
    assert (unreadable.code, unreadable.err.count("\n")) == (2, 1)
    assert len(json.loads(unreadable.out)["unreadable"]) == 1
    assert smidgen("check", data, "--skip-bad").code == 0


@pytest.mark.parametrize(
    "what",
    [
        "shift",
        "shift --kernel 5",
        "scaling",
        "scaling --family shiftnet --phi 2",
        "accuracy",
        "efficientnet_b0",
        "efficientnet_b0 --block features.3.0",
        "squeezenet1_0 --block features.3",
        "squeezenet1_0 squeezenet1_0_bypass",
        "squeezenet1_1 --classes 10 --resolution 32",
        "shiftnet_a",
    ],
)
def test_draw_writes_a_picture(tmp_path: Path, what: str) -> None:
    assert_svg(tmp_path / "figure.svg", what.split())


def test_draw_draws_a_model_file(tmp_path: Path, model: Path) -> None:
    assert_svg(tmp_path / "figure.svg", [str(model)])


def assert_svg(path: Path, arguments: list[str]) -> None:
    assert done("draw", *arguments, "-o", path).strip() == str(path)
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter())) > 10


def test_train_writes_a_run_with_a_model_a_report_and_a_page(place: Path) -> None:
    assert {path.name for path in (place / "run").iterdir()} == {
        ".lock",
        "candidates",
        "metrics.csv",
        "model.safetensors",
        "model_card.md",
        "report.html",
        "report.json",
        "run.json",
    }
    document = report.read(place / "run" / "report.json")
    assert document["network"]["name"] == "squeezenet1_1"
    assert document["budget"] is None
    assert len(table((place / "run" / "metrics.csv").read_text())) == 2
    provenance = document["provenance"]
    assert provenance is not None
    assert (provenance["command"] or "").startswith(f"smidgen train {place / 'tiny'} --model squeezenet1_1")


def test_train_as_json_prints_its_report_and_nothing_else(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("--model", "resnet20", "--recipe", "shiftresnet", "--epochs", 1, "--out", out, "--json")
    printed = json.loads(done("train", place / "tiny", *arguments))
    assert printed == json.loads((out / "report.json").read_text())
    assert printed["provenance"]["recipe"]["name"] == "shiftresnet"


def test_the_next_commands_of_a_run_work_as_they_are_printed(place: Path) -> None:
    commands = report.read(place / "run" / "report.json")["next_commands"]
    assert commands is not None
    assert [command.split()[:2] for command in commands] == [
        ["smidgen", name] for name in ("predict", "eval", "show")
    ]
    for command in commands:
        done(*command.split()[1:])


def test_predict_reports_a_broken_picture_and_does_the_rest(place: Path, tmp_path: Path, model: Path) -> None:
    good = [place / "tiny" / name / "000.png" for name in COLOURS]
    broken = tmp_path / "broken.png"
    broken.write_bytes(good[0].read_bytes()[:60])
    outcome = smidgen("predict", model, good[0], broken, good[1], good[2])
    assert outcome.code == 1
    assert [line.partition(": ")[0] for line in outcome.out.splitlines()] == list(map(str, good))
    complaint, summary = outcome.err.splitlines()
    assert complaint.startswith(f"{broken}: ")
    assert summary == "1 of 4 pictures could not be read"


def test_predict_as_json_is_an_object_a_line_with_probabilities(place: Path, model: Path) -> None:
    lines = [json.loads(line) for line in done("predict", model, place / "tiny", "--json").splitlines()]
    assert [line["picture"] for line in lines] == sorted(map(str, (place / "tiny").rglob("*.png")))
    for line in lines:
        assert {answer["class"] for answer in line["predictions"]} == set(COLOURS)
        assert sum(answer["probability"] for answer in line["predictions"]) == pytest.approx(1, abs=1e-5)


def test_predict_names_no_more_than_was_asked_for(place: Path, model: Path) -> None:
    (line,) = done("predict", model, place / "tiny" / "cross" / "000.png", "--top", 2, "--json").splitlines()
    first, second = json.loads(line)["predictions"]
    assert first["probability"] >= second["probability"]


def evaluated(*arguments: object) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(done("eval", *arguments, "--json"))
    return result


def test_eval_looks_at_the_test_part_of_its_own_data(place: Path, model: Path) -> None:
    test = report.read(place / "run" / "report.json")["test"]
    assert test is not None
    result = evaluated(model, place / "tiny")
    assert (result["part"], result["n"]) == ("the test part", test["n"])
    assert result["accuracy"] == test["accuracy"]
    assert result["interval"] == test["interval"]
    assert evaluated(model, place / "tiny", "--part", "all")["n"] == 60


def test_eval_looks_at_all_of_other_data(tmp_path: Path, model: Path) -> None:
    result = evaluated(model, shapes(tmp_path / "other", per_class=4, seed=1))
    assert (result["part"], result["n"]) == ("all", 12)
    assert [row["support"] for row in result["classes"]] == [4, 4, 4]


def test_eval_refuses_classes_that_the_model_does_not_know(tmp_path: Path, model: Path) -> None:
    shapes(tmp_path / "other", per_class=4)
    (tmp_path / "other" / "square").rename(tmp_path / "other" / "star")
    outcome = smidgen("eval", model, tmp_path / "other")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "does not know the class 'star'" in outcome.err


def test_convert_makes_a_model_file_of_the_same_weights(tmp_path: Path) -> None:
    original = create("squeezenet1_1", num_classes=5)
    torch.save(original.state_dict(), tmp_path / "mine.pth")
    text = done("convert", tmp_path / "mine.pth", "--as", "squeezenet1_1")
    assert text.startswith(f"{tmp_path / 'mine.safetensors'}: squeezenet1_1, 5 classes")
    network, converted = load(tmp_path / "mine.safetensors")
    assert network.num_classes == 5
    for (name, was), (new_name, now) in zip(
        original.state_dict().items(), converted.state_dict().items(), strict=True
    ):
        assert name == new_name
        np.testing.assert_array_equal(was.numpy(), now.numpy())


def test_convert_replaces_a_file_when_forced(tmp_path: Path) -> None:
    torch.save(create("squeezenet1_1", num_classes=5).state_dict(), tmp_path / "mine.pth")
    target = tmp_path / "other.safetensors"
    network = families.network("resnet20")
    save(target, network, create(network), {"converted_from": "yours.pth"})
    arguments = ("convert", tmp_path / "mine.pth", "--as", "squeezenet1_1", "-o", target)
    assert smidgen(*arguments).code == 2
    assert modelfile.read(target).network.name == "resnet20"
    done(*arguments, "--force")
    assert modelfile.read(target).network.name == "squeezenet1_1"


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_lists_every_option_once(name: str | None) -> None:
    text = done(*([name] if name else []), "--help")
    named = [option for line in text.splitlines() if line.startswith("  -") for option in spelt(line)]
    assert "--help" in named
    assert len(named) == len(set(named))


def spelt(line: str) -> list[str]:
    """Spellings of the option that a line of a help text is about."""
    return re.findall(r"--?[a-z][a-z-]*", line.strip().partition("  ")[0])


def test_help_lists_every_command_with_what_it_does() -> None:
    text = " ".join(done("--help").split())
    assert " ".join(smidgen().out.split()) == text
    for name, purpose in COMMANDS.items():
        assert f"{name} {purpose}" in text


def test_the_version_is_the_packages() -> None:
    assert done("--version") == f"smidgen, version {package.__version__}\n"


def test_info_says_what_runs_each_operator() -> None:
    found = json.loads(done("info", "--json"))
    runs = {
        (row["operator"], kind): row["backend"]
        for row in found["kernels"]
        for kind in row["dtypes"].split(", ")
    }
    assert runs["shift_conv", "float32"] == runs["shift2d", "float64"] == "cpu"
    assert runs["shift_conv", "float64"] == "reference"
    text = done("info")
    assert found["isa"] in text
    engine = found["engine"]
    assert engine["backend"] == f"native {found['isa']}"
    assert f"engine (predict): {engine['backend']}, because {engine['reason']}" in text


def test_info_says_why_the_interpreter_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.native.missing", lambda: "the native library was not built")
    line = "engine (predict): numpy interpreter, because the native library was not built"
    assert line in done("info").splitlines()


def test_info_names_the_processor() -> None:
    found, text = json.loads(done("info", "--json")), done("info")
    assert found["processor"] in text


def test_info_knows_what_the_machine_does_at_most() -> None:
    found = json.loads(done("info", "--json", "--threads", "1"))
    assert found["peaks"]["threads"] == 1
    assert found["peaks"]["gflops"] > 1
    assert f"copies of {found['peaks']['copies']:.0f} GB/s, on 1 thread" in done("info", "--threads", "1")


def test_info_measures_this_machine_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = functools.partial(measure.measure_device, networks=4, held=2)
    monkeypatch.setattr(measure, "measure_device", few)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    path = tmp_path / "here.json"
    outcome = smidgen("info", "--measure", "-o", str(path), "--threads", "1")
    found = device.read(path)
    assert outcome.code == 0
    assert f"{found}: {len(found.steps):,} steps timed" in outcome.out
    assert found.threads == 1
    assert measure.known(1) is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "device.json"), "-o is where --measure writes; give both"),
        (("--measure", "-o", "nowhere/device.json"), "nowhere: no such folder to write device.json into"),
    ],
)
def test_info_refuses_half_a_wish(arguments: tuple[str, ...], message: str) -> None:
    outcome = smidgen("info", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
