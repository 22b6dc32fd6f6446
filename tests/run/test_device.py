"""A budget of milliseconds: the device's, from the search to the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from smidgen import native, report
from smidgen.graph import Network
from smidgen.run import Fitted, Job, fit, record
from smidgen.scaling import device as device_file
from smidgen.scaling import on_device
from smidgen.scaling.device import Device
from smidgen.scaling.measure import Timed, measure_device
from smidgen.spec import Budget, BudgetError, SmidgenError
from smidgen.watch import Watch

LIMIT = 30.0  # milliseconds: far from what these networks take

pytestmark = pytest.mark.skipif(bool(native.missing()), reason=native.missing() or "built")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine, measured in a hurry."""
    path = tmp_path_factory.mktemp("device") / "here.json"
    device_file.write(path, measure_device(threads=1, networks=24, held=8))
    return path


@pytest.fixture(scope="module")
def timely(shapes: Path, device: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    out = tmp_path_factory.mktemp("timely") / "run"
    job = Job(str(shapes), epochs=1, out=out, device=device, threads=1, workers=1, from_scratch=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_device, "quietest", at_once)
        return fit(job, Budget(latency_ms=LIMIT, params=20_000), Watch(), ("resnet", "squeezenet"))


def at_once(networks: Sequence[Network], _threads: int) -> list[Timed]:
    """A clock that a busy machine does not disturb."""
    return [Timed(network, [], 0.5 * LIMIT) for network in networks]


def test_every_candidate_is_predicted_to_keep_the_budget(timely: Fitted, device: Path) -> None:
    kept, here = record.read(timely.folder), device_file.read(device)
    assert len(kept.plan.trials) >= 2
    for trial in kept.plan.trials:
        assert trial.predicted_ms == pytest.approx(here.predicted_ms(trial.network))
        assert here.bound_ms(trial.network) <= LIMIT
    assert kept.plan.device is not None
    assert kept.plan.device.name == str(here)


def test_the_report_has_prediction_and_measurement(timely: Fitted, device: Path) -> None:
    document = report.read(timely.folder / "report.json")
    assert document["budget"] == {"params": 20_000, "latency_ms": LIMIT}
    assert document["measured"]
    row = document["measured"]["predicted_ms"]
    assert row
    assert row["here"]
    assert row["value"] == pytest.approx(device_file.read(device).predicted_ms(timely.network))
    latency, limits = (
        document["measured"]["latency_ms"],
        {row["unit"]: row for row in document["limits"] or []},
    )
    assert latency
    assert latency["threads"] == row["threads"] == 1  # as many as the device has
    assert (limits["latency_ms"]["known"], limits["latency_ms"]["value"]) == ("measured", latency["value"])
    # Other work only adds to a time: a doubtful one inside the limit holds.
    over = None if latency["doubt"] else False
    assert limits["latency_ms"]["holds"] is (True if latency["value"] <= LIMIT else over)
    assert limits["params"]["holds"]
    assert document["candidates"]
    assert all(candidate["latency_ms"] for candidate in document["candidates"])
    assert "were predicted for" in (timely.folder / "report.html").read_text("utf-8")


def test_another_machines_file_is_not_taken_for_this_one(device: Path, tmp_path: Path) -> None:
    document = json.loads(device.read_text("utf-8"))
    assert device_file.read(device).here
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document | {"machine": "Cortex-A72"}))
    assert not device_file.read(other).here


def test_an_impossible_time_names_what_is_possible(shapes: Path, device: Path) -> None:
    job = Job(str(shapes), device=device)
    with pytest.raises(BudgetError, match=r"no network fits .* resnet latency=[0-9.]+ms$"):
        fit(job, Budget(latency_ms=1e-5), Watch(), ("resnet",))


def test_a_device_knows_how_far_it_is_off(device: Path) -> None:
    here: Device = device_file.read(device)
    assert here.error > 0
    assert here.late >= 0


def test_a_job_in_a_hurry_does_not_measure_the_machine_first(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    job = Job(str(shapes), time_limit=60, out=tmp_path / "run")
    with pytest.raises(SmidgenError, match="`smidgen info --measure` finds them out, once"):
        fit(job, Budget(latency_ms=1), Watch(), ("resnet",))
    assert list(tmp_path.iterdir()) == []
