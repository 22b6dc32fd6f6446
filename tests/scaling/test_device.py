"""Device files: measured here, read anywhere."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import smidgen
from smidgen import native
from smidgen.native.network import padded
from smidgen.scaling import device, measure
from smidgen.scaling.device import Device, DeviceError

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")


@pytest.fixture(scope="module")
def here() -> Device:
    return measure.measure_device(threads=1, networks=8, held=3)


def test_a_device_file_is_read_as_it_was_written(here: Device, tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    device.write(path, here)
    again = device.read(path)
    assert replace(again, steps={}) == replace(here, steps={})
    assert list(again.steps) == list(here.steps)
    assert all(math.isclose(again.steps[step], ms, abs_tol=1e-6) for step, ms in here.steps.items())
    network = smidgen.network("shiftresnet20_e3")
    assert again.predicted_ms(network) == pytest.approx(here.predicted_ms(network), rel=0.01)


def test_a_device_says_what_it_is(here: Device) -> None:
    assert here.threads == 1
    assert here.isa == native.isa()
    assert here.peaks.panel == padded(1)
    assert str(here).endswith(f"{here.isa}, 1 thread")
    assert here.library == native.fingerprint()
    assert len({step.kind for step in here.steps}) >= 4
    assert all(ms > 0 for ms in here.steps.values())


def test_a_device_that_was_busy_says_so(here: Device) -> None:
    assert replace(here, error=0.1).doubt() == ""
    line = replace(here, error=0.5).doubt()
    assert line.startswith(f"{here} was busy")
    assert "50 %" in line
    assert "smidgen info --measure" in line


def test_larger_networks_are_predicted_to_take_longer(here: Device) -> None:
    times = [here.predicted_ms(smidgen.network("resnet20", resolution=side)) for side in (16, 32, 64, 128)]
    assert times[-1] > 2 * times[0]  # with 64 times the work


def test_a_network_costs_its_call_its_input_and_its_steps(here: Device) -> None:
    network = smidgen.network("resnet20")
    free = replace(here, call_ms=0.0, input_ns=0.0)
    steps = free.predicted_ms(network)
    assert replace(free, share=2 * here.share).predicted_ms(network) == pytest.approx(2 * steps)
    assert replace(free, call_ms=3.0).predicted_ms(network) == pytest.approx(3 + steps)
    assert replace(free, input_ns=1e6).predicted_ms(network) == pytest.approx(3 * 32 * 32 + steps)


def test_this_machine_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: Device) -> None:
    calls: list[int | None] = []

    def once(threads: int | None, watch: Any) -> Device:
        calls.append(threads)
        return here

    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    monkeypatch.setattr(measure, "measure_device", once)
    first, second = measure.this_machine(1), measure.this_machine(1)
    assert calls == [1]
    assert list(first.steps) == list(second.steps)
    assert measure.known(2) is None
    measure.this_machine(2)
    assert calls == [1, 2]
    for path in tmp_path.rglob("*.json"):
        path.write_text("{")
    assert measure.known(1) is None
    measure.this_machine(1)
    assert calls == [1, 2, 1]


def test_drawn_networks_are_of_all_families_and_the_same_again() -> None:
    first, second = (measure.drawn_networks(seed=5) for _ in range(2))
    some = [next(first) for _ in range(12)]
    assert {network.family for network in some} == {"efficientnet", "squeezenet", "shiftnet", "resnet"}
    assert some == [next(second) for _ in range(12)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a device file"),
        ("[]", "not a whole device file"),
        ('{"format": 2}', "format 2, but this version reads 1"),
        ('{"format": 1}', "without steps, cut or too old"),
    ],
)
def test_what_is_no_device_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "device.json"
    path.write_text(text)
    with pytest.raises(DeviceError, match=message) as caught:
        device.read(path)
    assert "`smidgen info --measure -o device.json`" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("steps", 3, -1), -1),
        (("steps", 3, -1), "8"),
        (("steps", 3, 0), "convolution"),
        (("steps", 3, 3), 0),
        (("steps", 3, 3), None),
        (("steps", 3, 5), -8),
        (("steps", 3, 8), "tanh"),
        (("steps",), []),
        (("columns", 0), "sort"),
        (("peaks", "gflops"), 0),
        (("peaks", "panel"), 1),
        (("call_ms",), math.nan),
        (("call_ms",), -50),
        (("input_ns",), math.inf),
        (("error",), 1e308),
        (("share",), 10**400),
        (("threads",), 0),
        (("threads",), 10**9),
        (("machine",), "two\nlines"),
        (("made",), None),
    ],
    ids=str,
)
def test_a_damaged_device_file_is_refused(
    here: Device, tmp_path: Path, path: tuple[Any, ...], value: Any
) -> None:
    file = tmp_path / "device.json"
    device.write(file, here)
    document = place = json.loads(file.read_text())
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(document))
    with pytest.raises(DeviceError, match=r"not a whole device file|a device file without") as caught:
        device.read(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_deep_and_nothing_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DeviceError, match="not a device file"):
        device.read(path)


def test_a_missing_file_and_a_full_disk_are_one_line(tmp_path: Path, here: Device) -> None:
    with pytest.raises(DeviceError, match=r"nothing.json: cannot be read \(No such file"):
        device.read(tmp_path / "nothing.json")
    with pytest.raises(DeviceError, match="cannot be written"):
        device.write(Path("/dev/full/x.json"), here)


def test_nothing_is_measured_without_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "missing", lambda: "the native library was not built")
    for measuring in (measure.measure_device, measure.this_machine):
        with pytest.raises(DeviceError, match="native kernels only; the native library was not built"):
            measuring()
