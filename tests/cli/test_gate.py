"""No command writes over what it reads, what is a picture or a model, or what it did not make."""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import smidgen as package
from command_line import smidgen
from smidgen import modelfile
from smidgen.cli import bench, show
from smidgen.machine import machine_name
from smidgen.program import draw_weights
from smidgen.seal import sealed
from smidgen.spec import SmidgenError
from tiny_set import files

SIGNATURES = {
    "photo.jpg": b"\xff\xd8\xff\xe0 and the rest",
    "photo.csv": b"\x89PNG\r\n\x1a\n and the rest",
    "notes.csv": b"name,born\nAda,1815\n",
    "mine.csv": b"module,parameters,my notes\nfeatures.0,9,first\n",
    "answers.csv": b"picture,class,probability,none_of_these,checked by\n1.png,a,0.9,,me\n",
    "layers.csv": ",".join([*show.COLUMNS, "mine"]).encode() + b"\n1\n",
    "bench.csv": ",".join(bench.COLUMNS).encode() + b"\n1\n",
    "latin.csv": ",".join(bench.COLUMNS).encode() + "\nprocesseur à café\n".encode("latin-1"),
    "notes.md": b"---\ntitle: mine\n---\n",
    "figure.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><text>mine</text></svg>',
    "edited.svg": sealed('<svg class="sm-figure">').replace("svg", "svg id='mine'").encode(),
    "plot.png": b"\x89PNG\r\n\x1a\n and the rest",
    "device.json": b'{"format": 1}',
    "weights.safetensors": b"\x02\0\0\0\0\0\0\0{}",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and the current one, with a model, two pictures, and files of somebody else."""
    network = package.network("resnet20", num_classes=2, resolution=16)
    modelfile.write(tmp_path / "m.safetensors", modelfile.ModelFile(network, draw_weights(network)))
    trained = modelfile.ModelFile(network, draw_weights(network), {"test": {"accuracy": 1.0}, "seed": 0})
    modelfile.write(tmp_path / "trained.safetensors", trained)
    for number in (1, 2):
        Image.fromarray(np.full((16, 16, 3), 60 * number, np.uint8)).save(tmp_path / f"{number}.png")
    for name, content in SIGNATURES.items():
        (tmp_path / name).write_bytes(content)
    os.link(tmp_path / "1.png", tmp_path / "hard.csv")
    (tmp_path / "link.csv").symlink_to("m.safetensors")
    (tmp_path / "empty").touch()
    (tmp_path / "labels.csv").write_text("path,label\n1.png,a\n2.png,b\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


HARMFUL = [
    "predict m.safetensors --csv 1.png 2.png",
    "predict m.safetensors 1.png --csv m.safetensors",
    "predict m.safetensors 1.png --csv ./sub/../m.safetensors",
    "predict m.safetensors 1.png --csv hard.csv",
    "predict m.safetensors 1.png --csv link.csv",
    "predict link.csv 1.png --csv m.safetensors",
    "predict m.safetensors 1.png --csv notes.csv",
    "predict m.safetensors 1.png --csv photo.csv",
    "predict m.safetensors 1.png empty --csv empty",
    "predict m.safetensors 1.png new.csv --csv new.csv",
    "predict m.safetensors 1.png --csv new.png",
    "predict m.safetensors 1.png --csv new.safetensors",
    "count resnet20 --csv mine.csv",
    "show resnet20 --csv layers.csv",
    "predict m.safetensors 1.png --csv answers.csv",
    "bench resnet20 --csv bench.csv",
    "bench resnet20 --append latin.csv",
    "models --csv shift*",
    "models --csv *.png",
    "models --csv resnet20",
    "show --csv squeezenet1_? squeezenet1_1",
    "count --csv --json squeezenet1_1",
    "count --csv --classes squeezenet1_1",
    "predict --csv --json m.safetensors 1.png",
    "eval --csv --skip-bad m.safetensors labels.csv",
    "bench --csv --json resnet20",
    "bench --append --json resnet20",
    "draw resnet20 -o --json",
    "info --measure -o --json",
    "convert photo.jpg --as resnet20 -o --force",
    "eval m.safetensors labels.csv --csv labels.csv",
    "eval m.safetensors labels.csv --csv 1.png",
    "show m.safetensors --csv m.safetensors",
    "show resnet20 --csv notes.csv",
    "count resnet20 --csv photo.csv",
    "count m.safetensors --csv link.csv",
    "models --csv notes.csv",
    "models --csv photo.jpg",
    "draw m.safetensors -o figure.svg",
    "draw shift -o figure.svg",
    "draw shift -o edited.svg",
    "bench m.safetensors --csv m.safetensors",
    "bench resnet20 --csv notes.csv",
    "bench resnet20 --append notes.csv",
    "bench resnet20 --append 1.png",
    "bench resnet20 --plot plot.png",
    "bench resnet20 --plot 1.png",
    "info --measure -o device.json",
    "info --measure -o 1.png",
    "info --measure -o m.safetensors",
    "convert weights.safetensors --as resnet20 --force",
    "convert photo.jpg --as resnet20 -o 1.png --force",
    "convert photo.jpg --as resnet20 -o notes.md --force",
    "convert photo.jpg --as resnet20 -o weights.safetensors --force",
    "convert photo.jpg --as resnet20 -o m.safetensors --force",
    "convert photo.jpg --as resnet20 -o trained.safetensors --force",
]


@pytest.mark.parametrize("line", HARMFUL)
def test_what_a_command_did_not_make_is_refused_before_the_work(place: Path, line: str) -> None:
    (place / "sub").mkdir()
    before = files(place)
    outcome = smidgen(*line.split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert files(place) == before


@pytest.mark.parametrize(
    "line",
    [
        "predict m.safetensors 1.png 2.png --csv {}",
        "eval m.safetensors labels.csv --part all --csv {}",
        "show m.safetensors --csv {}",
        "count resnet20 --csv {}",
        "models resnet* --csv {}",
        "draw resnet20 -o {}",
    ],
)
def test_what_a_command_made_itself_is_made_anew(place: Path, line: str) -> None:
    if line.startswith("eval"):
        network = package.network("resnet20", num_classes=2, resolution=16)
        named = modelfile.ModelFile(
            package.Network(
                network.name, network.family, network.tree, network.input, network.preprocess, ("a", "b")
            ),
            draw_weights(network),
        )
        modelfile.write(place / "m.safetensors", named)
    name = "out.svg" if line.startswith("draw") else "out.csv"
    first = smidgen(*line.format(name).split())
    made = (place / name).read_bytes()
    if name.endswith(".csv"):
        (place / name).write_bytes(made[: max(len(made) // 2, made.index(b"\n") + 1)])  # with its header
    again = smidgen(*line.format(name).split())
    assert (first.code, again.code) == (0, 0), (first.err, again.err)
    assert (place / name).read_bytes() == made


def test_a_table_is_followed_through_a_link_and_never_replaces_it(place: Path) -> None:
    (place / "far").mkdir()
    (place / "table.csv").symlink_to("far/table.csv")
    assert smidgen("count", "resnet20", "--csv", "table.csv").code == 0
    assert (place / "table.csv").is_symlink()
    assert (place / "far" / "table.csv").read_text().startswith("module,parameters\n")


def test_a_picture_that_comes_on_standard_input_is_not_written_over(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    os.link(place / "1.png", place / "other.png")
    (place / "table.csv").write_text("picture,class,probability,none_of_these\n")
    before = files(place)
    for listed in (b"1.png\ntable.csv\n", b"1.png\n./table.csv\n"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed)))
        outcome = smidgen("predict", "m.safetensors", "-", "--csv", "table.csv")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert files(place) == before


def test_what_appears_during_the_work_is_not_written_over(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = package.Engine.__call__

    def appears(self: package.Engine, *arguments: object) -> object:
        (place / "out.csv").write_text("somebody's")
        return call(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("smidgen.engine.Engine.__call__", appears)
    outcome = smidgen("predict", "m.safetensors", "1.png", "--csv", "out.csv")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert (place / "out.csv").read_text() == "somebody's"
    assert not [path for path in place.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize(
    "path", ["/dev/stdout", "/dev/null", "/dev/full", "/proc/self/fd/1", "pipe", "loop", "."]
)
def test_only_files_are_written(place: Path, path: str) -> None:
    os.mkfifo(place / "pipe")
    (place / "loop").symlink_to("loop")
    names = {entry.name for entry in place.iterdir()}
    outcome = smidgen("count", "resnet20", "--csv", path)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert {entry.name for entry in place.iterdir()} == names


def test_a_table_is_not_put_where_standard_output_goes(place: Path) -> None:
    import subprocess
    import sys

    with (place / "out.csv").open("w") as out:
        command = [sys.executable, "-m", "smidgen", "count", "resnet20", "--csv", "out.csv"]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "standard stream" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "info --measure -o {}/device.json",
        "bench resnet20 --csv {}/b.csv",
        "bench resnet20 --append {}/b.csv",
        "bench resnet20 --plot {}/b.png",
        "predict m.safetensors 1.png --csv {}/p.csv",
        "eval m.safetensors labels.csv --csv {}/e.csv",
        "draw resnet20 -o {}/d.svg",
        "convert photo.jpg --as resnet20 -o {}/m.safetensors",
        "fit labels.csv --budget params=8k --out {}/run",
        "train labels.csv --model resnet20 --out {}/a/b/run",
        "search labels.csv --family resnet --out {}/run",
        "demo --into {}/demo",
    ],
)
@pytest.mark.parametrize("folder", ["/proc", "nowhere/deep", "notes.csv"])
def test_a_place_that_cannot_be_written_is_refused_first(
    place: Path, monkeypatch: pytest.MonkeyPatch, line: str, folder: str
) -> None:
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it worked before it looked")

    made_on_the_way = line.split()[0] in ("fit", "train", "search", "demo") and folder.startswith("nowhere")
    for work in ("engine.Engine.__init__", "scaling.measure.measure_device", "bench.runner.time_rivals"):
        monkeypatch.setattr(f"smidgen.{work}", worked)
    monkeypatch.setattr("smidgen.cli.running.before_training", worked)
    monkeypatch.setattr("smidgen.cli.search.require_torch", worked)
    before = files(place)
    if made_on_the_way:
        with pytest.raises(AssertionError, match="it worked before it looked"):
            smidgen(*line.format(folder).split())
    else:
        outcome = smidgen(*line.format(folder).split())
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert files(place) == before


def test_a_name_that_is_too_long_is_refused_first(place: Path) -> None:
    outcome = smidgen("info", "--measure", "-o", "x" * 300)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "File name too long" in outcome.err


def test_a_measurement_without_a_place_is_refused_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(place / "notes.csv"))
    outcome = smidgen("info", "--measure")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "SMIDGEN_CACHE" in outcome.err


def test_bench_names_the_option_that_adds_to_a_table_and_begins_one_that_has_no_rows(place: Path) -> None:
    outcome = smidgen("bench", "resnet20", "--csv", "bench.csv")
    assert "bench.csv holds 1 row of other measurements; --append bench.csv adds" in outcome.err
    begun = ",".join(bench.COLUMNS).encode() + b"\n"
    assert bench.NEW_TABLE.is_ours(place / "x.csv", begun)
    assert not bench.NEW_TABLE.is_ours(place / "x.csv", begun + b"1\n")


@pytest.mark.parametrize(
    "end", ["\n", "\r\n"], ids=["as here", "as a spreadsheet on another system ends lines"]
)
def test_what_a_table_holds_stays_byte_by_byte_when_rows_are_added(place: Path, end: str) -> None:
    before = "\ufeff" + ",".join(bench.COLUMNS) + end + "“Größe”" + end
    (place / "b.csv").write_bytes(before.encode())
    bench._append(place / "b.csv", [[7] * len(bench.COLUMNS)])
    row = ",".join(["7"] * len(bench.COLUMNS))
    assert (place / "b.csv").read_bytes() == (before + row + end).encode()


def test_of_many_who_add_rows_at_once_none_loses_any(place: Path) -> None:
    import subprocess
    import sys

    script = (
        "from pathlib import Path; from smidgen.cli import bench\n"
        "for _ in range(20): bench._append(Path('b.csv'), [[7] * len(bench.COLUMNS)])"
    )
    several = [
        subprocess.Popen([sys.executable, "-c", script], cwd=place, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [one.wait() for one in several] == [0, 0, 0]
    assert len((place / "b.csv").read_text().splitlines()) == 61


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no memory disk here")
def test_a_table_on_a_memory_disk_is_written_and_its_place_is_said() -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "x.csv")
        outcome = smidgen("count", "resnet20", "--csv", path)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", f"{path}: written\n")
        assert path.read_text().startswith("module,parameters\n")


def test_rows_are_added_to_a_table_of_the_same_columns_only(place: Path) -> None:
    table = place / "bench.csv"
    table.write_text(",".join(bench.COLUMNS) + "\n1")  # its last line was never finished
    bench._append(table, [list(range(len(bench.COLUMNS)))])
    header, half, row = table.read_text().splitlines()
    assert (header, half, row.split(",")[:3]) == (",".join(bench.COLUMNS), "1", ["0", "1", "2"])


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_plot_carries_a_mark_by_which_it_is_known(tmp_path: Path, kind: str) -> None:
    from matplotlib.figure import Figure

    from smidgen import gate
    from smidgen.bench.plot import marked

    for metadata, known in ((None, False), (marked(kind), True)):
        path = tmp_path / f"plot.{kind}"
        figure = Figure()
        figure.subplots()
        figure.savefig(path, format=kind, metadata=metadata)
        assert gate.PLOT.is_ours(path, path.read_bytes()[:65536]) is known


def test_a_model_file_that_was_converted_is_converted_anew(place: Path) -> None:
    from smidgen import gate

    file = modelfile.read(place / "m.safetensors")
    modelfile.write(
        place / "c.safetensors", modelfile.ModelFile(file.network, file.tensors, {"converted_from": "x"})
    )
    gate.require(place / "c.safetensors", gate.CONVERTED)
    with pytest.raises(SmidgenError, match="holds a model file, and only a model file of `smidgen conv"):
        gate.require(place / "m.safetensors", gate.CONVERTED)


@pytest.mark.parametrize("name", ["model_card.md", "report.html", "model.safetensors", "metrics.csv"])
def test_a_file_of_somebodys_in_a_stopped_run_is_refused_before_it_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it worked before it looked")

    monkeypatch.setattr("smidgen.cli.resume.before_training", worked)
    run = place / "run"
    run.mkdir()
    (run / "run.json").write_text('{"format": 3, "job": {}, "plan": {}}')
    content = (place / ("m.safetensors" if name.endswith("rs") else "photo.csv")).read_bytes()
    (run / name).write_bytes(content)
    outcome = smidgen("resume", run)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert f"{name} holds" in outcome.err
    assert (run / name).read_bytes() == content
    (run / name).unlink()
    with pytest.raises(AssertionError, match="it worked before it looked"):
        smidgen("resume", run)


def test_the_device_file_of_another_machine_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from smidgen import gate

    read = types.SimpleNamespace
    path = place / "device.json"
    for machine, known in ((machine_name(), True), ("another", False)):
        monkeypatch.setattr("smidgen.scaling.device.read", lambda _, name=machine: read(machine=name))
        assert gate.DEVICE.is_ours(path, b"{") is known


def test_a_file_of_somebodys_that_appears_during_the_training_is_refused_before_the_test_part_is_looked_at(
    tmp_path: Path,
) -> None:
    from smidgen.run.evidence import write_run
    from smidgen.watch import Watch

    (tmp_path / "report.html").write_bytes(b"mine")
    nothing: Any = None  # there is nothing yet that it could look at
    with pytest.raises(SmidgenError, match=r"report\.html holds something else"):
        write_run(tmp_path, nothing, nothing, nothing, Watch())
    assert files(tmp_path) == {str(tmp_path / "report.html"): b"mine"}
