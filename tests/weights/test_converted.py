"""Published weights kept as model files: what is used again, and what is made again."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen import modelfile, weights
from smidgen.modelfile import ModelFile
from smidgen.modules.published import published_file, published_state
from smidgen.spec import WeightsError

NAME = "efficientnet_lite0"
ROW = weights.find(NAME)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path))
    return tmp_path / "weights" / f"{NAME}-{ROW.sha256_prefix}.safetensors"


def rewritten(place: Path, **changes: Any) -> None:
    modelfile.write(place, dataclasses.replace(modelfile.read(place), **changes))


def test_the_first_call_converts_and_the_next_reads(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights.converted(ROW) is None
    made = published_file(NAME)
    assert list(place.parent.iterdir()) == [place]
    for name, tensor in published_state(NAME).items():
        np.testing.assert_array_equal(made.tensors[name], tensor.numpy())
    monkeypatch.setattr("smidgen.modules.published.published_state", None)
    kept = published_file(NAME)
    assert kept.network == made.network == weights.published_network(NAME)
    assert kept.provenance == made.provenance
    assert kept.provenance["sha256"].startswith(ROW.sha256_prefix)
    for name in made.tensors:
        np.testing.assert_array_equal(kept.tensors[name], made.tensors[name])


def test_another_source_another_network_or_damage_is_converted_again(place: Path) -> None:
    file = published_file(NAME)
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
        published_file(NAME)
        assert place.read_bytes() == good
    place.write_bytes(good[:-1])
    assert weights.converted(ROW) is None
    published_file(NAME)
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
        file = published_file(NAME)
    assert isinstance(file, ModelFile)
    (record,) = caplog.records
    assert "converted weights are not kept" in record.getMessage()
