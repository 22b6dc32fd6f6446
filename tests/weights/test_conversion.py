"""Published weights kept as model files: what is used again, and what is made again."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen import modelfile, weights
from smidgen.modelfile import ModelFile
from smidgen.modules.published import published_state, published_tensors
from smidgen.spec import WeightsError

NAME = "efficientnet_lite0"
ROW = weights.find(NAME)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    return tmp_path / "weights" / f"{NAME}-{ROW.sha256_prefix}.safetensors"


def made() -> ModelFile:
    """The weights, read in this process where they are not kept."""
    return weights.published_model(ROW, read=published_tensors)


def rewritten(place: Path, **changes: Any) -> None:
    modelfile.write(place, dataclasses.replace(modelfile.read(place), **changes))


def unwanted(_row: weights.Published) -> Mapping[str, Any]:
    raise AssertionError("read again")


def test_the_first_call_converts_and_the_next_reads(place: Path) -> None:
    assert weights.converted(ROW) is None
    first = made()
    assert list(place.parent.iterdir()) == [place]
    for name, tensor in published_state(NAME).items():
        np.testing.assert_array_equal(first.tensors[name], tensor.numpy())
    kept = weights.published_model(ROW, read=unwanted)
    assert kept.network == first.network == weights.published_network(NAME)
    assert kept.provenance == first.provenance
    assert kept.provenance["sha256"].startswith(ROW.sha256_prefix)
    for name in first.tensors:
        np.testing.assert_array_equal(kept.tensors[name], first.tensors[name])


def test_another_source_another_network_or_damage_is_converted_again(place: Path) -> None:
    file = made()
    good = place.read_bytes()
    others: list[dict[str, Any]] = [
        {"provenance": {}},
        {"provenance": {**file.provenance, "sha256": "00" * 32}},
        {"provenance": {**file.provenance, "sha256": [ROW.sha256_prefix]}},
        {"network": dataclasses.replace(file.network, classes=())},
    ]
    for changes in others:
        rewritten(place, **changes)
        assert weights.converted(ROW) is None
        made()
        assert place.read_bytes() == good
    place.write_bytes(good[:-1])
    assert weights.converted(ROW) is None
    made()
    assert place.read_bytes() == good
    changed = dataclasses.replace(ROW, sha256_prefix="00000000")
    assert weights.converted(changed) is None


def test_a_source_with_another_hash_is_not_kept(place: Path) -> None:
    with pytest.raises(WeightsError, match="does not start with 00000000"):
        weights.keep_converted(dataclasses.replace(ROW, sha256_prefix="00000000"), {})
    assert not place.parent.exists()


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("where the folder should be")
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "smidgen"):
        file = made()
    assert isinstance(file, ModelFile)
    (record,) = caplog.records
    assert "converted weights are not kept" in record.getMessage()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo some news >&2; echo 'the weights do not fit' >&2; exit 1", "^the weights do not fit$"),
        ("kill -9 $$", rf"^the process that reads the weights of {NAME} ended \(-9\)$"),
        (None, f"^the weights of {NAME} cannot be read: no Python to do it"),
    ],
)
def test_a_process_that_cannot_read_them_is_one_line(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, says: str
) -> None:
    python = tmp_path / "python"
    if script:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(WeightsError, match=says):
        weights.published_model(ROW)
    assert not place.exists()


def test_nothing_is_fetched_without_leave(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.weights.conversion.fetch", unwanted)
    with pytest.raises(
        WeightsError, match=r"squeezenet1_1 are not on this machine; download=True fetches"
    ) as it:
        weights.published_model(weights.find("squeezenet1_1"))
    assert "`smidgen predict squeezenet1_1 PICTURE`" in str(it.value)
    assert "\n" not in str(it.value)
