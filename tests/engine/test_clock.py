"""Latency and memory come from a fresh process, and say so where they may be wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import smidgen
from smidgen import Engine, modelfile
from smidgen.engine import clock
from smidgen.engine.clock import measure, measure_memory
from smidgen.machine import machine_name
from smidgen.modelfile import ModelFile
from smidgen.program import draw_weights

NETWORK = smidgen.network("squeezenet1_1", num_classes=10, resolution=64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clock") / "model.safetensors"
    modelfile.write(path, ModelFile(NETWORK, draw_weights(NETWORK)))
    return path


@pytest.mark.parametrize("threads", [None, 1])
def test_a_latency_names_what_it_was_measured_on(model: Path, threads: int | None) -> None:
    row, note = measure(model, threads)
    assert note is None
    assert row
    engine = Engine(model, threads)
    assert row["device"] == f"{machine_name()}, smidgen's engine on {engine.backend}"
    assert (row["threads"], row["precision"]) == (engine.threads_of(), "fp32")
    assert 0 < row["value"] <= row["p95"]
    assert set(row) == {"value", "p95", "device", "precision", "threads", "doubt"}


def test_what_this_process_holds_does_not_reach_the_figure(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("timed in the process that trained")

    monkeypatch.setattr(Engine, "__call__", never)
    row, note = measure(model)
    assert (row is not None, note) == (True, None)


@pytest.mark.parametrize("asked", ["timing", "metering"])
def test_the_process_that_measures_imports_no_torch(asked: str, model: Path) -> None:
    program = "import smidgen.engine.series" if asked == "timing" else clock._METER.partition("with open")[0]
    code = f"{program}\nimport sys\nprint([name for name in sys.modules if name.split('.')[0] == 'torch'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_busy_machine_gives_a_figure_with_a_doubt(model: Path) -> None:
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("this system keeps no books of waiting threads")
    one = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    if not Path("/usr/bin/taskset").exists():
        pytest.skip("taskset of util-linux is not here")
    spin = [*one, sys.executable, "-c", "while True: pass"]
    code = (
        "from pathlib import Path; from smidgen.engine import clock; clock.PATIENCE = 0.3; "
        f"print(clock.measure(Path({str(model)!r}), 1)[0]['doubt'])"
    )
    with subprocess.Popen(spin) as busy:
        try:
            paths = os.pathsep.join(filter(None, sys.path))
            done = subprocess.run(
                [*one, sys.executable, "-c", code],
                capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": paths},
            )  # fmt: skip
        finally:
            busy.kill()
    assert "waited for a processor" in done.stdout


def test_a_model_that_is_none_is_not_measured_and_the_reason_is_given(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"broken")
    row, note = measure(path)
    assert row is None
    assert note
    assert note.startswith("latency: the measuring process did not finish (")
    assert "\n" not in note


@pytest.mark.parametrize("measuring", [measure, measure_memory])
def test_a_process_that_cannot_be_started_is_a_reason(
    measuring: object, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    row, note = measuring(model)  # type: ignore[operator]
    assert row is None
    assert "no process could be started (No such file or directory)" in note


@pytest.mark.parametrize("answer", ["", "no figure", "{"])
def test_a_process_that_answers_nothing_is_a_reason(
    answer: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=answer, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert measure(model) == (None, "latency: the measuring process gave no figure")


def test_the_machine_has_a_name_of_one_line() -> None:
    assert machine_name().strip()
    assert machine_name().isprintable()


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system keeps no such books")
def test_memory_holds_at_least_weights_and_the_largest_map(model: Path) -> None:
    row, note = measure_memory(model)
    assert note is None
    assert row
    largest = 4 * 64 * 31 * 31  # bytes of what the stem makes of 64 pixels
    # Neither pages nor kibibytes taken for bytes.
    assert model.stat().st_size + largest < row["value"] < 200_000_000
    assert row["device"].startswith(f"{machine_name()}, smidgen's engine on ")


@pytest.mark.parametrize(
    ("content", "limit", "reason"),
    [(b"broken", 60.0, "did not finish"), (None, 60.0, "did not finish"), (b"", 0.01, "more than 0.01 s")],
)
def test_memory_that_cannot_be_metered_is_none_with_a_reason(
    tmp_path: Path, content: bytes | None, limit: float, reason: str
) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    row, note = measure_memory(path, limit=limit)
    assert row is None
    assert note
    assert note.startswith("memory: ")
    assert reason in note
