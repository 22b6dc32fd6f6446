"""Data that are strange but fair, and numbers at the edge: a run must end well or be refused at once."""

import json
import shlex
from pathlib import Path

import pytest

from command_line import smidgen
from smidgen.modules import load
from smidgen.run import Job, fit
from smidgen.spec import Budget, SmidgenError
from smidgen.watch import Watch
from tiny_run import BUDGET, run, write_shapes


def test_names_in_no_known_encoding_do_not_stop_a_run(tmp_path: Path) -> None:
    names = ("a\udce9", "日本 <&>", '"q"')
    data = write_shapes(tmp_path / "caf\udce9", 6, classes=names)
    for path in list(data.rglob("*.png")):
        path.rename(path.with_stem(path.stem + "\udcff"))
    done = fit(Job(str(data), out=tmp_path / "run", epochs=1), BUDGET, Watch(), ("resnet",))
    assert load(done.folder / "model.safetensors")[0].classes == tuple(sorted(names))
    assert (done.folder / "report.json").stat().st_size > 0
    assert (done.folder / "report.html").read_text(encoding="utf-8").startswith("<!")


def test_long_class_names_do_not_break_the_limit_on_the_file(tmp_path: Path) -> None:
    one, two, three = (f"{number} " + "é" * 120 for number in range(3))
    data = write_shapes(tmp_path / "data", 4, classes=(one, two, three))
    job = Job(str(data), out=tmp_path / "run", epochs=1)
    done = fit(job, Budget(weight_bytes=20_000), Watch(), ("resnet",))
    assert (done.folder / "model.safetensors").stat().st_size <= 20_000


def test_the_largest_seed_works(shapes: Path, tmp_path: Path) -> None:
    assert run(shapes, tmp_path / "run", seed=2**63 - 1, epochs=1).report["test"] is not None


@pytest.mark.parametrize("job", [{"resolution": 0}, {"resolution": 10**6}, {"seed": -1}, {"seed": 2**63}])
def test_numbers_out_of_range_are_refused(shapes: Path, tmp_path: Path, job: dict[str, int]) -> None:
    with pytest.raises(SmidgenError, match="is outside"):
        fit(Job(str(shapes), out=tmp_path / "run", **job), BUDGET, Watch())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_bad_pictures_that_were_skipped_are_skipped_by_the_next_commands(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", 8)
    (data / "circle" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    job = Job(str(data), out=tmp_path / "run", epochs=1, skip_bad=True)
    commands = fit(job, BUDGET, Watch(), ("resnet",)).report["next_commands"] or []
    assert any(command.endswith(f"{data} --skip-bad") for command in commands)


def test_the_next_commands_group_as_the_run_did(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", 8)
    job = Job(str(data), out=tmp_path / "run", epochs=1, group_by="[0-9]+")
    done = fit(job, BUDGET, Watch(), ("resnet",)).report
    (command,) = [one for one in done["next_commands"] or [] if one.startswith("smidgen eval")]
    again = smidgen(*shlex.split(command)[1:], "--json")
    assert (again.code, again.err) == (0, "")
    test = done["test"]
    assert test
    assert json.loads(again.out)["accuracy"] == pytest.approx(test["accuracy"])
    assert json.loads(again.out)["n"] == test["n"]
