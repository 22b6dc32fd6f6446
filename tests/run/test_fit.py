import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from smidgen import data, families, modelfile, report
from smidgen.data import Dataset
from smidgen.engine import Engine
from smidgen.graph import Network
from smidgen.modules import load
from smidgen.predict import Predictor
from smidgen.run import Fitted, Job, fit, propose, resume, train_one
from smidgen.scaling import Solution
from smidgen.spec import Budget, DataError, SmidgenError, UnknownNameError
from smidgen.train.material import Material
from smidgen.train.metrics import read_rows
from smidgen.watch import Watch
from tiny_set import files, shapes

torch.set_num_threads(1)

BUDGET = Budget(params=20_000, macs=2_000_000, weight_bytes=120_000, peak_bytes=60_000)
PAIR = ("resnet", "shiftnet")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A fit of two families."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return fit(Job(str(tiny), epochs=4, out=out, seed=3, command="as typed"), BUDGET, Watch(), PAIR)


def short_fit(folder: Path, out: Path, seed: int = 0, family: str = "resnet") -> Fitted:
    return fit(Job(str(folder), epochs=1, seed=seed, out=out), BUDGET, Watch(), (family,))


def test_the_run_folder_holds_model_metrics_report_and_page(run: Fitted) -> None:
    assert {path.name for path in run.folder.iterdir()} == {
        ".lock",
        "candidates",
        "metrics.csv",
        "model.safetensors",
        "model_card.md",
        "report.html",
        "report.json",
        "run.json",
    }


def test_each_candidate_leaves_its_rows_and_no_checkpoints(run: Fitted) -> None:
    rows = run.report["candidates"]
    assert rows is not None
    folders = sorted((run.folder / "candidates").iterdir())
    assert [path.name for path in folders] == [f"{at:02d}-{row['name']}" for at, row in enumerate(rows, 1)]
    for folder, row in zip(folders, rows, strict=True):
        assert [path.name for path in folder.iterdir()] == ["metrics.csv"]
        history = read_rows(folder / "metrics.csv")
        assert [one.epoch for one in history] == list(range(1, (row["epochs"] or 0) + 1))
        assert history[-1].val_accuracy == row["val_accuracy"]
        if row["chosen"]:
            assert (folder / "metrics.csv").read_bytes() == (run.folder / "metrics.csv").read_bytes()


def test_the_report_on_disk_is_whole_and_the_one_that_was_returned(run: Fitted) -> None:
    document = report.read(run.folder / "report.json")
    assert document == run.report
    assert document["classes"] == ["circle", "cross", "square"]
    assert document["resolution"] == 16
    assert all(value is not None for value in document.values())


def test_the_page_stands_alone(run: Fitted) -> None:
    page = (run.folder / "report.html").read_text()
    assert run.network.name in page
    assert "src=http" not in page.replace('"', "")


def test_the_budget_is_obeyed_by_the_report_and_by_the_file(run: Fitted) -> None:
    costs, file = run.report["cost"], modelfile.read(run.folder / "model.safetensors")
    written = file.network.cost()
    assert run.report["budget"] == BUDGET.limits()
    size = (run.folder / "model.safetensors").stat().st_size
    assert costs == {
        "params": written.params,
        "macs": written.macs,
        "peak_bytes": written.peak_bytes,
        "weight_bytes": size,
        "int8_bytes": modelfile.weight_bytes(file.network, file.provenance, weights="int8"),
    }
    assert not BUDGET.excesses({unit: getattr(written, unit, size) for unit in Budget.units()})


def test_candidates_of_each_family_compete_and_the_best_to_the_end_is_chosen(run: Fitted) -> None:
    rows = run.report["candidates"]
    assert rows is not None
    assert tuple(dict.fromkeys(row["family"] for row in rows)) == PAIR
    (chosen,) = (row for row in rows if row["chosen"])
    finalists = [row for row in rows if row["epochs"] == 4]
    assert chosen in finalists
    assert chosen["val_accuracy"] == max(row["val_accuracy"] or 0 for row in finalists)
    assert chosen["name"] == run.network.name == run.report["network"]["name"]
    assert all(row["params"] <= 20_000 and row["macs"] <= 2_000_000 for row in rows)


def test_a_candidate_is_no_better_at_its_last_rung_than_one_that_went_on(run: Fitted) -> None:
    rows, contest = run.report["candidates"], run.report["contest"]
    assert rows is not None
    assert contest is not None
    marks = [[rung["val_accuracy"] or 0.0 for rung in row["rungs"] or []] for row in rows]
    for place, rung in enumerate(contest["rungs"]):
        there = [mark for mark in marks if len(mark) > place]
        assert len(there) == rung["candidates"]
        further = [mark[place] for mark in there if len(mark) > place + 1]
        out = [mark[place] for mark in there if len(mark) == place + 1]
        assert not further or not out or max(out) <= min(further)


def test_metrics_hold_a_row_for_every_epoch_as_the_report_does(run: Fitted) -> None:
    rows = read_rows(run.folder / "metrics.csv")
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    assert [row.to_dict() for row in rows] == run.report["curves"]


def test_the_provenance_says_how_to_do_it_again(run: Fitted, tiny: Path) -> None:
    provenance = run.report["provenance"]
    assert provenance is not None
    assert (provenance["command"], provenance["seed"]) == ("as typed", 3)
    described = provenance["data"]
    assert described is not None
    dataset = data.open_dataset(tiny)
    assert described["fingerprint"] == data.fingerprint(dataset, data.survey(dataset))
    assert described["pictures"] == sum((described["split"] or {}).values()) == 60
    assert provenance["recipe"] is not None
    assert provenance["recipe"]["epochs"] == 4


def test_the_reported_accuracy_is_that_of_the_saved_model_on_the_test_pictures(
    run: Fitted, tiny: Path
) -> None:
    """Independent of the product's own evaluation: Pillow, numpy, one picture at a time."""
    dataset = data.open_dataset(tiny)
    parts = data.split(dataset, data.survey(dataset), 3)
    network, model = load(run.folder / "model.safetensors")
    preprocess = network.preprocess
    confusion = np.zeros((3, 3), int)
    for index in parts.test:
        path, label = tiny / dataset.pictures[index].name, dataset.pictures[index].label
        assert path.parent.name == network.classes[label]
        unit = np.asarray(PIL.Image.open(path).convert("RGB"), np.float64) / 255
        x = ((unit - preprocess.mean) / preprocess.std).transpose(2, 0, 1)[None]
        with torch.no_grad():
            confusion[label, int(model(torch.from_numpy(x).float()).argmax())] += 1
    test = run.report["test"]
    assert test is not None
    assert test["n"] == len(parts.test) == confusion.sum()
    assert test["accuracy"] == pytest.approx(confusion.trace() / confusion.sum())
    assert run.report["confusion"] == confusion.tolist()
    assert test["interval"] is not None
    assert test["interval"][0] < test["accuracy"] <= test["interval"][1]


def test_every_mistake_is_a_test_picture_that_was_called_wrong(run: Fitted, tiny: Path) -> None:
    dataset = data.open_dataset(tiny)
    test = data.split(dataset, data.survey(dataset), 3).test
    names = {dataset.pictures[index].name for index in test}
    mistakes, confusion = run.report["mistakes"], np.array(run.report["confusion"])
    assert mistakes is not None
    assert len(mistakes) == min(24, confusion.sum() - confusion.trace())
    for mistake in mistakes:
        assert mistake["name"] in names
        assert mistake["name"].split("/")[0] == mistake["true"] != mistake["predicted"]


def test_one_seed_gives_one_model_file_to_the_bit(tiny: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = short_fit(tiny, tmp_path / "a")
    torch.manual_seed(2)
    second = short_fit(tiny, tmp_path / "b")
    other = short_fit(tiny, tmp_path / "c", seed=1)
    contents = [(done.folder / "model.safetensors").read_bytes() for done in (first, second, other)]
    assert contents[0] == contents[1] != contents[2]


def test_fitting_leaves_the_callers_generator_and_threads_alone(tiny: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    short_fit(tiny, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_what_is_on_the_test_pictures_does_not_touch_the_weights(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parted"
    for path in sorted(tiny.rglob("*.png")):
        part = {0: "test", 1: "val"}.get(int(path.stem) % 5, "train")
        target = folder / part / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    models = []
    for name in ("shapes", "noise"):
        done = short_fit(folder, tmp_path / name)
        models.append((modelfile.read(done.folder / "model.safetensors"), done.report["test"]))
        random = np.random.default_rng(0)
        for path in (folder / "test").rglob("*.png"):
            PIL.Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    (first, _), (second, _) = models
    assert first.network == second.network
    for key, tensor in first.tensors.items():
        np.testing.assert_array_equal(tensor, second.tensors[key])


def test_test_pictures_are_decoded_once_and_after_all_training(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str | tuple[int, ...]] = []
    original = data.load_pixels

    def load_pixels(dataset: Dataset, indices: tuple[int, ...], *rest: object, **more: object) -> object:
        events.append(indices)
        return original(dataset, indices, *rest, **more)  # type: ignore[arg-type]

    class Stages(Watch):
        def heading(self, text: str) -> None:
            events.append(text)

        def say(self, text: str) -> None:
            events.append(text)

    monkeypatch.setattr("smidgen.train.material.load_pixels", load_pixels)
    fit(Job(str(tiny), epochs=1, workers=1, out=tmp_path / "run"), BUDGET, Stages(), ("resnet",))
    dataset = data.open_dataset(tiny)
    test = set(data.split(dataset, data.survey(dataset), 0).test)
    looks = [at for at, event in enumerate(events) if isinstance(event, tuple) and test & set(event)]
    assert len(looks) == 1
    finished = max(at for at, event in enumerate(events) if str(event).startswith("validation"))
    assert looks[0] > finished > events.index("training 3 candidates for 1 epoch, to compare them")


class Interrupting(Watch):
    """Presses Ctrl-C where a label begins with these words: at its start, or after some steps."""

    def __init__(self, label: str, steps: int) -> None:
        self.label, self.steps = label, steps

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        armed = label.startswith(self.label)

        def report(done: int, _total: int) -> None:
            if armed and done >= self.steps:
                raise KeyboardInterrupt

        if armed and not self.steps:
            raise KeyboardInterrupt
        yield report


def interrupted(job: Job, label: str, steps: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(job, BUDGET, Interrupting(label, steps), ("resnet",))


@pytest.mark.parametrize(
    ("label", "steps"),
    [("checking", 0), ("checking", 5), ("decoding train", 3), ("measuring speeds", 0), ("measuring", 1)],
)
@pytest.mark.parametrize("base", [True, False])
def test_an_interrupt_before_the_plan_is_made_leaves_nothing_behind(
    tiny: Path, tmp_path: Path, label: str, steps: int, base: bool
) -> None:
    (tmp_path / "there").mkdir()
    before = files(tmp_path, tiny)
    target = tmp_path / "there" / "new" / "run"
    asked = Job(str(tiny), epochs=1, time_limit=60.0)
    if base:
        interrupted(dataclasses.replace(asked, base=target), label, steps)
    else:
        interrupted(dataclasses.replace(asked, out=target), label, steps)
    assert files(tmp_path, tiny) == before


@pytest.mark.parametrize(
    ("label", "steps"),
    [("3 candidates", 0), ("3 candidates", 2), ("resnet", 1), ("decoding val", 1), ("decoding test", 2)],
)
def test_an_interrupt_after_it_keeps_what_can_be_taken_up(
    tiny: Path, tmp_path: Path, label: str, steps: int
) -> None:
    before = files(tiny)
    interrupted(Job(str(tiny), epochs=1, workers=1, out=tmp_path / "run"), label, steps)
    assert files(tiny) == before
    kept = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json"} <= kept <= {".lock", "run.json", "candidates", "metrics.csv"}
    done = resume(tmp_path / "run", Watch())
    assert done.folder == tmp_path / "run"
    assert report.read(tmp_path / "run" / "report.json") == done.report
    assert not list(tmp_path.rglob("checkpoints"))


def test_a_run_folder_is_never_overwritten(tiny: Path, tmp_path: Path) -> None:
    first = fit(Job(str(tiny), epochs=1, base=tmp_path / "run"), BUDGET, Watch(), ("resnet",))
    before = files(first.folder)
    with pytest.raises(SmidgenError, match="a run is never overwritten"):
        short_fit(tiny, first.folder)
    second = fit(Job(str(tiny), epochs=1, base=tmp_path / "run"), BUDGET, Watch(), ("resnet",))
    assert [done.folder.name for done in (first, second)] == ["run-1", "run-2"]
    assert files(first.folder) == before


def test_without_a_folder_asked_for_runs_are_counted_below_runs(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = fit(Job(str(tiny), epochs=1), BUDGET, Watch(), ("resnet",))
    assert done.folder == Path("runs", "tiny-1")


@pytest.mark.parametrize(
    ("job", "families", "error", "reason"),
    [
        (Job("nowhere/at/all"), (), DataError, "no such folder"),
        (Job("{tiny}", resolution=0), (), SmidgenError, "resolution=0"),
        (Job("{tiny}", seed=-1), (), SmidgenError, "seed=-1"),
        (Job("{tiny}"), ("reznet",), UnknownNameError, "did you mean resnet?"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    job: Job,
    families: tuple[str, ...],
    error: type[Exception],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = Job(job.data.format(tiny=tiny), resolution=job.resolution, seed=job.seed)
    with pytest.raises(error) as caught:
        fit(asked, BUDGET, Watch(), families)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == {}


def test_a_family_named_twice_competes_once(tiny: Path, tmp_path: Path) -> None:
    done = fit(Job(str(tiny), epochs=1, out=tmp_path / "run"), BUDGET, Watch(), ("resnet", "resnet"))
    names = [row["name"] for row in done.report["candidates"] or []]
    assert names
    assert len(set(names)) == len(names)


def test_training_one_network_has_no_budget_and_no_rivals(tiny: Path, tmp_path: Path) -> None:
    def build(material: Material) -> Network:
        return families.network("resnet20", num_classes=3, c_in=3, resolution=material.resolution)

    done = train_one(Job(str(tiny), epochs=1, out=tmp_path / "run"), build, None, Watch())
    assert (done.report["budget"], done.report["contest"]) == (None, None)
    (row,) = done.report["candidates"] or []
    assert (row["name"], row["epochs"], row["chosen"]) == ("resnet20", 1, True)
    network, _ = load(done.folder / "model.safetensors")
    assert network == done.network
    assert network.classes == ("circle", "cross", "square")


def test_a_network_that_learned_nothing_is_called_no_better_than_chance(tmp_path: Path) -> None:
    data = shapes(tmp_path / "data", 60)  # fewer could not be told from chance
    heard: list[str] = []

    class Listener(Watch):
        def say(self, text: str) -> None:
            heard.append(text)

    fit(Job(str(data), out=tmp_path / "run", epochs=1), Budget(params=3_000), Listener(), ("squeezenet",))
    assert any(line.startswith("no better than chance") for line in heard)


def test_a_network_for_smaller_pictures_is_trained_and_tested_at_its_own_size(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def smallest(*given: Any, **more: Any) -> list[Solution]:
        return [min(propose(*given, **more), key=lambda one: one.network.input.height)]

    monkeypatch.setattr("smidgen.run.lineup.propose", smallest)
    job = Job(str(tiny), out=tmp_path / "run", epochs=2, from_scratch=True)
    done = fit(job, Budget(macs=600_000), Watch(), ("squeezenet",))
    model = modelfile.read(done.folder / "model.safetensors").network
    assert (model.input.height, model.preprocess.resize) == (8, 8)
    assert model.name.endswith("_r8")
    engine = Engine(done.folder / "model.safetensors")
    asked = [tiny / name / "000.png" for name in model.classes]
    test = done.report["test"]
    assert test is not None
    assert len(Predictor(engine.network, engine, engine.provenance).predict(asked)) == 3
    assert done.report["cost"]["macs"] == model.cost().macs <= 600_000
