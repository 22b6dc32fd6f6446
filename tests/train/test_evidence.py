import base64
import io
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen import modelfile
from smidgen.search import Fitted, Job, fit
from smidgen.train.evidence import scored
from smidgen.train.predict import open_predictor
from smidgen.train.watch import Watch
from tiny_run import BUDGET


def test_accuracy_and_interval_stand_on_the_counted_pictures() -> None:
    logits = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2, 3]]
    labels = np.array([0, 1, 2, 3, 1, 1, 2, 3])
    row = scored(logits, labels)
    assert (row["accuracy"], row["n"]) == (0.875, 8)
    # Wilson 1927, 7 of 8 at 95 %: (p + z²/2n ± z·sqrt(pq/n + z²/4n²)) / (1 + z²/n)
    z, p, n = 1.959964, 0.875, 8
    centre, spread = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    expected = [(centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)]
    assert row["interval"] == pytest.approx(expected, abs=1e-6)


def test_the_confusion_matrix_and_the_mistakes_agree(shapes: Path, tmp_path: Path) -> None:
    done = fit(Job(str(shapes), out=tmp_path / "run", epochs=1), BUDGET, Watch(), ("resnet",))
    report = done.report
    confusion, test = np.array(report["confusion"]), report["test"]
    assert test is not None
    assert np.trace(confusion) / confusion.sum() == test["accuracy"]
    mistakes = report["mistakes"] or []
    assert len(mistakes) == confusion.sum() - np.trace(confusion) > 0  # after one epoch there are some
    predictor = open_predictor(str(done.folder / "model.safetensors"))
    for mistake in mistakes:
        assert mistake["name"].partition("/")[0] == mistake["true"] != mistake["predicted"]
        best = predictor.rank(shapes / mistake["name"])[0]
        assert best.name == mistake["predicted"]
        assert best.probability == pytest.approx(mistake["confidence"], abs=1e-5)
        png = Image.open(io.BytesIO(base64.b64decode(mistake["png_base64"] or "")))
        np.testing.assert_array_equal(np.asarray(png), np.asarray(Image.open(shapes / mistake["name"])))
    confidences = [mistake["confidence"] for mistake in mistakes]
    assert confidences == sorted(confidences, reverse=True)


def test_the_next_commands_name_files_that_exist(fitted: Fitted, shapes: Path) -> None:
    commands = [shlex.split(command) for command in fitted.report["next_commands"] or []]
    assert [command[:2] for command in commands] == [
        ["smidgen", "predict"],
        ["smidgen", "eval"],
        ["smidgen", "show"],
    ]
    assert all(Path(word).exists() for command in commands for word in command[2:])


def test_the_reserve_for_provenance_covers_what_is_written(fitted: Fitted) -> None:
    path = fitted.folder / "model.safetensors"
    bare = modelfile.weight_bytes(fitted.network)
    assert bare < path.stat().st_size < bare + 1_000
