import csv
import json
from pathlib import Path

import pytest

from command_line import smidgen
from smidgen import modelfile, native
from smidgen.bench import runner
from smidgen.cli.bench import COLUMNS
from smidgen.families import network
from smidgen.modelfile import ModelFile
from smidgen.program import draw_weights

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")

SHORT = ("--rounds", 1, "--threads", 1, "--rival", "onnxruntime")


@pytest.fixture(autouse=True)
def _one_cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "COLD_STARTS", 1)


def test_json_rows_and_plot_of_a_name(tmp_path: Path) -> None:
    table, picture = tmp_path / "b.csv", tmp_path / "b.png"
    varied = ("--resolution", 16, "--batch", 1, "--batch", 3)
    outcome = smidgen("bench", "resnet20", *SHORT, *varied, "--json", "--csv", table, "--plot", picture)
    assert (outcome.code, outcome.err) == (0, f"{table}: written\n")
    found = json.loads(outcome.out)
    assert (found["network"], found["input"], found["left_out"]) == ("resnet20", [3, 16, 16], {})
    assert found["machine"]["threads"] == 1
    pairs = [(row["batch"], row["rival"]) for row in found["rows"]]
    assert pairs == [(batch, rival) for batch in (1, 3) for rival in ("smidgen", "onnxruntime")]
    for row in found["rows"]:
        assert row["precision"] == "fp32"
        assert row["difference"] < 1e-4
        assert min(row["median_ms"], row["p95_ms"], row["alone_ms"], row["cold_ms"]) > 0
        assert row["calls"] == len(row["turns_ms"][0]) == 10
    assert found["rows"][0]["ratio"] == 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    written = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    assert [row["median_ms"] for row in written] == [str(row["median_ms"]) for row in found["rows"]]
    assert f"--csv {table}" in written[0]["command"]


def test_lines_of_a_model_file_and_rows_after_those_that_are_there(tmp_path: Path) -> None:
    net = network("shiftresnet20_e1", num_classes=3, c_in=1, resolution=16)
    model, table = tmp_path / "m.safetensors", tmp_path / "b.csv"
    modelfile.write(model, ModelFile(net, draw_weights(net)))
    table.write_text(",".join(COLUMNS) + "\nold" + "," * (len(COLUMNS) - 1) + "\n")
    outcome = smidgen("bench", model, *SHORT, "--batch", 2, "--resolution", 24, "--append", table)
    assert (outcome.code, outcome.err) == (0, f"{table}: 2 rows added\n")
    assert "1x24x24" in outcome.out.splitlines()[0]
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [line[0] for line in lines if line[:1] in (["smidgen"], ["onnxruntime"])] == [
        "smidgen", "onnxruntime", "smidgen", "onnxruntime",
    ]  # fmt: skip
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    assert [row["rival"] for row in rows[1:]] == ["smidgen", "onnxruntime"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nonet",), "nonet"),
        (("resnet20", "--rival", "onxruntime"), "did you mean onnxruntime?"),
        (("none.safetensors",), "no such file"),
        (("resnet20", "--csv", "nowhere/b.csv"), "no such folder"),
        (("resnet20", "--append", "nowhere/b.csv"), "no such folder"),
        (("resnet20", "--append", "b.csv", "--csv", "c.csv"), "give one of them"),
        (("resnet20", "--plot", "b.xyz"), ".png or .svg"),
        (("resnet20", "--batch", 0), "--batch"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[object, ...], complaint: str) -> None:
    outcome = smidgen("bench", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert complaint in outcome.err


def test_a_rival_that_is_not_installed_is_left_out_or_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from smidgen.bench.rivals import openvino
    from smidgen.cli import bench

    monkeypatch.setattr(openvino, "available", lambda: "needs openvino: pip install 'smidgen[export]'")
    names, left_out = bench._rivals(())
    assert "openvino" not in names
    assert "pip install" in left_out["openvino"]
    outcome = smidgen("bench", "resnet20", "--rival", "openvino")
    assert outcome.code == 2
    assert "openvino: needs openvino: pip install" in outcome.err
