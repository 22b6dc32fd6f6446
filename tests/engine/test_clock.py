import os
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import smidgen
from smidgen import Engine, modelfile
from smidgen.engine import clock as clocks
from smidgen.engine.clock import Timing, clock, measure, measure_memory
from smidgen.engine.drawn import draw_weights
from smidgen.machine import machine_name
from smidgen.modelfile import ModelFile
from smidgen.spec import Shape

NETWORK = smidgen.network("squeezenet1_1", num_classes=10, resolution=64)


class Slow:
    """Sleeps a known time, every tenth call four times as long."""

    def __init__(self) -> None:
        self.calls = 0
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, x: NDArray[np.float32]) -> None:
        assert x.dtype == np.float32
        self.shapes.add(x.shape)
        self.calls += 1
        time.sleep(0.008 if self.calls % 10 == 0 else 0.002)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine((NETWORK, draw_weights(NETWORK)), threads=2)


def test_median_and_percentile_are_those_of_a_sleep() -> None:
    model = Slow()
    timing = clock(model, Shape(3, 5, 4))
    assert model.shapes == {(1, 3, 5, 4)}
    assert 2.0 <= timing.median < 4.0
    assert 8.0 <= timing.p95 < 16.0
    assert timing.share < 0.5  # asleep, it uses no processor


def test_an_uneven_series_is_tried_three_times_and_then_void(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = iter([Timing(1.0, 9.0, 1.0), Timing(1.0, 1.0, 0.1), Timing(2.0, 5.0, 1.0)])
    monkeypatch.setattr(clocks, "clock", lambda _call, _shape: next(series))
    row, note = measure(engine)
    assert row is None
    assert next(series, None) is None
    assert note
    assert note.startswith("latency: the machine was busy in each of 3 series; ")
    assert "\n" not in note


@pytest.mark.parametrize(
    ("timing", "reason"),
    [
        (Timing(1.0, 2.0, 0.8), None),
        (Timing(1.0, 1.0, 2.0), None),  # two threads
        (Timing(1.0, 2.1, 1.0), "the 95th percentile was 2.1 times the median"),
        (Timing(1.0, 1.0, 0.79), "the process had only 79 % of a core"),
    ],
)
def test_the_rule_for_a_quiet_machine(timing: Timing, reason: str | None) -> None:
    assert timing.disturbed == reason


def test_the_first_quiet_series_counts_and_names_what_it_was_measured_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = iter([Timing(1.0, 9.0, 1.0), Timing(3.0, 3.5, 0.99), Timing(2.0, 2.0, 1.0)])
    monkeypatch.setattr(clocks, "clock", lambda _call, _shape: next(series))
    row, note = measure(engine)
    assert note is None
    assert row == {
        "value": 3.0,
        "p95": 3.5,
        "device": f"{machine_name()}, smidgen's engine on {engine.backend}",
        "precision": "fp32",
        "threads": 2,
    }


def test_the_machine_has_a_name_of_one_line() -> None:
    assert machine_name().strip()
    assert machine_name().isprintable()


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system keeps no such books")
def test_memory_holds_at_least_weights_and_the_largest_map(tmp_path: Path) -> None:
    size = modelfile.write(tmp_path / "model.safetensors", ModelFile(NETWORK, draw_weights(NETWORK)))
    row, note = measure_memory(tmp_path / "model.safetensors", "avx2", limit=60)
    assert note is None
    assert row
    largest = 4 * 64 * 31 * 31  # bytes of what the stem makes of 64 pixels
    assert size + largest < row["value"] < 200_000_000  # neither pages nor kibibytes taken for bytes
    assert row["device"] == f"{machine_name()}, smidgen's engine on avx2"


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
    row, note = measure_memory(path, "avx2", limit)
    assert row is None
    assert note
    assert note.startswith("memory: ")
    assert reason in note
