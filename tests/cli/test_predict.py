import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import skimage

import smidgen as package
from command_line import Outcome, smidgen
from smidgen import modelfile
from smidgen.modelfile import ModelFile
from smidgen.run import Fitted
from tiny_run import CLASSES
from tiny_set import files

# A table as `predict` made it before.
OLD = "picture,class,probability,none_of_these\nold.png,circle,1,\n"


@pytest.fixture(scope="module")
def model(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that knows no threshold."""
    return with_provenance(fitted, tmp_path_factory.mktemp("plain") / "m.safetensors", {})


def with_provenance(fitted: Fitted, path: Path, provenance: dict[str, Any]) -> Path:
    file = modelfile.read(fitted.folder / "model.safetensors")
    modelfile.write(path, ModelFile(file.network, file.tensors, provenance))
    return path


def threshold(value: float) -> dict[str, Any]:
    return {"none_of_these": {"score": "maximum softmax probability", "threshold": value}}


def listed(monkeypatch: pytest.MonkeyPatch, content: bytes, *arguments: object) -> Outcome:
    """Outcome of `predict` with a list of paths on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return smidgen("predict", *arguments)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def pictures(outcome: Outcome) -> list[str]:
    return [json.loads(line)["picture"] for line in outcome.out.splitlines()]


def test_files_and_folders_are_answered_in_the_order_given(model: Path, shapes: Path) -> None:
    last = str(shapes / "square" / "019.png")
    outcome = smidgen("predict", model, last, shapes / "circle", last, "--json", "--batch-size", 3)
    assert (outcome.code, outcome.err) == (0, "")
    assert pictures(outcome) == [last, *sorted(map(str, (shapes / "circle").iterdir())), last]


def test_folders_are_searched_to_any_depth_but_not_in_hidden_places(
    model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (shapes / "cross" / "000.png").read_bytes()
    for name in ("b/x.png", "b/c/d/y.PNG", "a.png", "z.png", ".hidden/q.png", "b/._x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "b" / "note.txt").write_text("no picture")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert pictures(smidgen("predict", model, ".", "--json")) == ["a.png", "b/c/d/y.PNG", "b/x.png", "z.png"]


def test_missing_and_broken_pictures_are_reported_at_the_end(
    model: Path, shapes: Path, tmp_path: Path
) -> None:
    good, missing, broken, empty = (
        shapes / "cross" / "000.png",
        tmp_path / "no.png",
        tmp_path / "b.png",
        tmp_path,
    )
    broken.write_text("no picture")
    (tmp_path / "empty").mkdir()
    outcome = smidgen("predict", model, missing, good, broken, empty / "empty", good)
    assert outcome.code == 1
    assert [line.partition(": ")[0] for line in outcome.out.splitlines()] == [str(good)] * 2
    assert sorted(outcome.err.splitlines()) == sorted(
        [
            f"{tmp_path / 'empty'}: a folder without pictures",
            f"{missing}: no such file",
            f"{broken}: not a picture; JPEG, PNG, WebP, BMP, GIF, TIFF are read",
            "2 of 4 pictures could not be read",
        ]
    )


def test_where_nothing_that_was_named_exists_the_call_is_wrong(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [tmp_path / "a.png", tmp_path / "b.png"]
    outcome = smidgen("predict", model, *gone)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"{gone[0]}: no such file\n")
    lines = "".join(f"{path}\n" for path in gone).encode()
    outcome = listed(monkeypatch, lines, model, "-", "--csv", tmp_path / "out.csv")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"{gone[0]}: no such file\n")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("content", [b"", b"\n\n\r\n"])
def test_an_empty_list_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    outcome = listed(monkeypatch, content, model, "-")
    assert (outcome.code, outcome.err) == (2, "no picture was named on standard input\n")


@pytest.mark.parametrize(
    ("end", "more"), [(b"\n", ()), (b"\r\n", ()), (b"\0", ("--null",)), (b"\0", ("-0",))]
)
def test_paths_come_from_standard_input(
    model: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, more: tuple[str, ...]
) -> None:
    paths = sorted(map(str, (shapes / "cross").iterdir()), reverse=True)
    content = end.join(map(os.fsencode, [*paths, str(shapes / "circle")]))  # the last one without its end
    outcome = listed(monkeypatch, content, model, shapes / "square" / "000.png", "-", "--json", *more)
    circles = sorted(map(str, (shapes / "circle").iterdir()))
    assert pictures(outcome) == [str(shapes / "square" / "000.png"), *paths, *circles]
    assert (outcome.code, outcome.err) == (0, "")


def test_names_with_odd_letters_survive(
    model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [b"a\nb.png", b" c .png", b"\xe9.png", 'ü,"x.png'.encode()]
    content = (shapes / "cross" / "000.png").read_bytes()
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    told = listed(monkeypatch, b"\0".join(names), model, "-0", "-", "--csv", "o.csv")
    assert (told.code, told.out) == (0, "")
    with Path("o.csv").open(encoding="utf-8", newline="") as stream:
        found = [row["picture"] for row in csv.DictReader(stream)]
    assert found == ["a\nb.png", " c .png", r"\udce9.png", 'ü,"x.png']
    (line,) = listed(monkeypatch, names[0], model, "-0", "-").out.splitlines()
    assert line.startswith("a?b.png: ")


@pytest.mark.parametrize(
    ("content", "arguments", "reason"),
    [
        (b"a.png\0b.png\0", ["-"], "--null reads such a list"),
        (b"", ["-", "-"], "only once"),
        (b"", ["x.png", "--null"], "name it with -"),
        (b"", ["@", "--csv", "-", "--json"], "would both print"),
        (b"", ["@", "--csv", "nowhere/x.csv"], "no such folder"),
        (b"", ["@", "--csv", "."], "the name of a file is needed"),
        (b"", ["@", "--csv", ""], "the name of a file is needed"),
        (b"", ["@", "--csv", "/dev/full"], "cannot be written (not a regular file)"),
        (b"", ["@", "--batch-size", "0"], "--batch-size"),
        (b"", ["@", "--threads", "0"], "--threads"),
    ],
)
def test_a_call_that_makes_no_sense_says_why(
    model: Path,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [word.replace("@", str(shapes / "cross" / "000.png")) for word in arguments]
    outcome = listed(monkeypatch, content, model, *given)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert reason in outcome.err
    assert files(tmp_path) == {}


def test_the_csv_holds_the_answers_of_the_json(model: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text(OLD)
    outcome = smidgen("predict", model, shapes, "--csv", out, "--json", "--top", 2)
    assert outcome.code == 0
    table, lines = rows(out.read_text()), list(map(json.loads, outcome.out.splitlines()))
    assert len(table) == len(lines) == 60
    columns = "picture class probability none_of_these class_2 probability_2".split()
    for row, line in zip(table, lines, strict=True):
        first, second = line["predictions"]
        assert list(row) == columns
        assert (row["picture"], row["class"], row["class_2"]) == (
            line["picture"],
            first["class"],
            second["class"],
        )
        assert float(row["probability"]) == pytest.approx(first["probability"], rel=1e-5)
        assert float(row["probability_2"]) == pytest.approx(second["probability"], rel=1e-5)
        assert (row["none_of_these"], line["none_of_these"]) == ("", None)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_csv_file_leaves_stdout_empty_and_says_how_fast_it_was(
    model: Path, shapes: Path, tmp_path: Path
) -> None:
    outcome = smidgen("predict", model, shapes / "cross", "--csv", tmp_path / "out.csv", "--top", 99)
    assert (outcome.code, outcome.out) == (0, "")
    said, _, speed = outcome.err.rstrip().removesuffix(" a second").rpartition(", ")
    assert said == f"{tmp_path / 'out.csv'}: written\n20 pictures"
    assert int(speed.replace(",", "")) > 0
    assert list(rows((tmp_path / "out.csv").read_text())[0])[-1] == f"probability_{len(CLASSES)}"


def test_the_csv_goes_to_stdout_for_a_dash(model: Path, shapes: Path, tmp_path: Path) -> None:
    smidgen("predict", model, shapes, "--csv", tmp_path / "out.csv")
    outcome = smidgen("predict", model, shapes, "--csv", "-")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (tmp_path / "out.csv").read_text()


def test_an_interrupted_run_leaves_the_old_csv(
    model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    out.write_text(OLD)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smidgen.engine.Engine.__call__", interrupted)
    assert smidgen("predict", model, shapes, "--csv", out).code == 130
    assert files(tmp_path) == {str(out): OLD.encode()}


@pytest.mark.parametrize(("value", "doubted"), [(0.0, False), (1.0, True)])
def test_none_of_these_is_said_in_every_format(
    fitted: Fitted, shapes: Path, tmp_path: Path, value: float, doubted: bool
) -> None:
    path = with_provenance(fitted, tmp_path / "m.safetensors", threshold(value))
    picture = shapes / "cross" / "000.png"
    best = json.loads(smidgen("predict", path, picture, "--json").out)
    assert best["none_of_these"] is doubted
    (row,) = rows(smidgen("predict", path, picture, "--csv", "-").out)
    assert row["none_of_these"] == ("yes" if doubted else "no")
    line = smidgen("predict", path, picture).out.rstrip()
    probability = best["predictions"][0]["probability"]
    assert line.endswith(f" (none of these? {probability:.2f} is below 1.00)") is doubted
    assert ("none of these" in line) is doubted


def test_a_best_answer_just_below_the_threshold_is_told_apart_from_it(
    fitted: Fitted, model: Path, shapes: Path, tmp_path: Path
) -> None:
    picture = shapes / "cross" / "000.png"
    best = json.loads(smidgen("predict", model, picture, "--json").out)["predictions"][0]["probability"]
    path = with_provenance(fitted, tmp_path / "m.safetensors", threshold(best + 2e-5))
    words = smidgen("predict", path, picture).out.rstrip(")\n").split()
    low, high = words[-4], words[-1]
    assert float(low) < float(high)
    for shown, value in ((low, best), (high, best + 2e-5)):
        digits = len(shown.partition(".")[2])
        assert float(shown) == pytest.approx(value, abs=0.51 * 10**-digits)  # the nearest with so many digits


# ── the engine, and torch beside it ──────────────────────────────────────────────────────────────────


def answers(outcome: Outcome) -> list[list[tuple[str, float]]]:
    assert outcome.code == 0, outcome.err
    lines = map(json.loads, outcome.out.splitlines())
    return [[(row["class"], row["probability"]) for row in line["predictions"]] for line in lines]


def test_torch_gives_the_engines_answers(model: Path, shapes: Path) -> None:
    ours = answers(smidgen("predict", model, shapes, "--json"))
    theirs = answers(smidgen("predict", model, shapes, "--json", "--engine", "torch", "--threads", 2))
    assert len(ours) == len(theirs) == 60
    for mine, other in zip(ours, theirs, strict=True):
        assert dict(mine) == pytest.approx(dict(other), abs=1e-4)


def test_without_the_native_library_one_line_says_who_does_the_work(
    model: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = shapes / "cross" / "000.png"
    (native_ones,) = answers(smidgen("predict", model, picture, "--json"))
    monkeypatch.setattr("smidgen.native.missing", lambda: "the native library was not built")
    outcome = smidgen("predict", model, picture, "--json")
    assert outcome.err == "the native library was not built; the slow interpreter runs instead\n"
    assert dict(answers(outcome)[0]) == pytest.approx(dict(native_ones), abs=1e-4)


# ── in processes of their own ────────────────────────────────────────────────────────────────────────


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def test_output_that_nobody_reads_on_ends_quietly(model: Path, shapes: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "smidgen", "predict", str(model), *[str(shapes)] * 100, "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(600)
    assert errors == b""


def test_a_terminal_for_news_gets_progress_and_speed_and_no_answers(model: Path, shapes: Path) -> None:
    pty = pytest.importorskip("pty")  # where there are no terminals to imitate
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "smidgen", "predict", str(model), str(shapes), "--json"],
        env=environment() | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=600)
    news = b""
    try:
        while block := os.read(ours, 2**16):
            news += block
    except OSError:  # how the end of a terminal looks
        pass
    os.close(ours)
    assert process.returncode == 0
    assert len([json.loads(line) for line in out.splitlines()]) == 60
    assert b"predicting" in news
    assert b"60/60" in news
    assert b"60 pictures, " in news
    assert b" a second" in news
    assert b'picture"' not in news


# As on a machine where nobody installed it: looked for, it is not there.
WITHOUT_TORCH = """
import sys
for name in ("torch", "kornia", "triton", "torchvision"):
    sys.modules[name] = None
from smidgen.cli import main
main()
"""


def without_torch(*arguments: object, **variables: str) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)],
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_a_model_file_predicts_where_torch_is_not_installed(model: Path, shapes: Path) -> None:
    picture = shapes / "cross" / "000.png"
    outcome = without_torch("predict", model, picture, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == smidgen("predict", model, picture, "--json").out


def test_torch_is_not_loaded_where_it_is_installed(model: Path, shapes: Path) -> None:
    script = (
        "import atexit, sys\n"
        "def loaded():\n"
        "    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
        "atexit.register(loaded)\n"
        "from smidgen.cli import main\nmain()"
    )
    command = [sys.executable, "-c", script, "predict", str(model), str(shapes / "cross")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=600)
    loaded = set(done.stderr.split())
    assert "numpy" in loaded
    assert not loaded & {"torch", "kornia", "triton", "torchvision", "matplotlib"}


def test_what_needs_torch_says_what_to_install(model: Path, shapes: Path, tmp_path: Path) -> None:
    picture = shapes / "cross" / "000.png"
    outcome = without_torch("predict", model, picture, "--engine", "torch")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "--engine torch needs torch: pip install 'smidgen[train]'\n"
    outcome = without_torch("predict", "efficientnet_lite0", picture, SMIDGEN_CACHE=str(tmp_path))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "published weights of efficientnet_lite0, once, needs torch: pip install" in outcome.err
    assert files(tmp_path) == {}


def test_a_published_name_needs_torch_once(tmp_path: Path) -> None:
    photographs = [Path(skimage.__file__).parent / "data" / name for name in ("chelsea.png", "coffee.png")]
    cache = str(tmp_path / "cache")
    arguments = ("predict", "efficientnet_lite0", *photographs, "--json")
    first = subprocess.run(
        [sys.executable, "-m", "smidgen", *map(str, arguments)],
        env=environment() | {"SMIDGEN_CACHE": cache},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (first.returncode, first.stderr) == (0, "")
    again = without_torch(*arguments, SMIDGEN_CACHE=cache)
    assert again == (0, first.stdout, "")
    assert answers(again)[1][0][0] == "espresso"
    assert [path.name for path in (tmp_path / "cache" / "weights").iterdir()] == [
        "efficientnet_lite0-57934424.safetensors"
    ]


def test_convert_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"")
    outcome = without_torch("convert", tmp_path / "weights.pth", "--as", "squeezenet1_1")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.strip() == "this command needs torch: pip install 'smidgen[train]'"


def test_info_says_what_predicts_without_torch() -> None:
    outcome = without_torch("info")
    assert (outcome.code, outcome.err) == (0, "")
    assert "torch not installed" in outcome.out
    assert "engine (predict): " in outcome.out
