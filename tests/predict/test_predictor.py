import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from smidgen import Engine, families, modelfile
from smidgen.graph import Network
from smidgen.modelfile import ModelFile
from smidgen.modules import create, load, save
from smidgen.predict import Picture, Predictor, require_sensible
from smidgen.predict.models import MEMORY_LIMIT
from smidgen.run import Fitted
from smidgen.spec import ModelFileError, PictureError, Shape, SmidgenError


def opened(path: Path) -> Predictor:
    engine = Engine(path)
    return Predictor(engine.network, engine, engine.provenance)


def test_ranks_are_the_softmax_of_the_model_sorted(fitted: Fitted, shapes: Path) -> None:
    path = fitted.folder / "model.safetensors"
    picture = shapes / "circle" / "000.png"
    ranked = opened(path).rank(picture)
    network, model = load(path)
    mean, std = (np.array(values) for values in (network.preprocess.mean, network.preprocess.std))
    x = ((np.asarray(Image.open(picture)) / 255 - mean) / std).transpose(2, 0, 1)[None]
    with torch.no_grad():
        expected = model(torch.tensor(x, dtype=torch.float32)).softmax(1)[0]
    assert {answer.name for answer in ranked} == set(network.classes)
    for answer in ranked:
        assert answer.probability == pytest.approx(
            float(expected[network.classes.index(answer.name)]), abs=1e-5
        )
    probabilities = [answer.probability for answer in ranked]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(answer.probability for answer in ranked) == pytest.approx(1)


def test_classes_without_names_are_numbers(tmp_path: Path, shapes: Path) -> None:
    network = families.network("resnet20", num_classes=4, resolution=16)
    save(tmp_path / "m.safetensors", network, create(network))
    ranked = opened(tmp_path / "m.safetensors").rank(shapes / "circle" / "000.png")
    assert {answer.name for answer in ranked} == {"0", "1", "2", "3"}


def test_a_grey_network_takes_colour_pictures_of_any_size(tmp_path: Path) -> None:
    network = families.network("resnet20", num_classes=2, c_in=1, resolution=16)
    save(tmp_path / "m.safetensors", dataclasses.replace(network, classes=("a", "b")), create(network))
    Image.new("RGB", (300, 41), "red").save(tmp_path / "p.png")
    assert len(opened(tmp_path / "m.safetensors").rank(tmp_path / "p.png")) == 2


def test_a_broken_picture_is_a_picture_error(fitted: Fitted, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(PictureError, match=r"p\.png"):
        opened(fitted.folder / "model.safetensors").rank(tmp_path / "p.png")


# ── many pictures, and pictures that are not files ───────────────────────────────────────────────────


@pytest.fixture(scope="module")
def predictor(fitted: Fitted) -> Predictor:
    return opened(fitted.folder / "model.safetensors")


def numbers(answers: list[Any]) -> np.ndarray[Any, Any]:
    """Probabilities by class, a row a picture."""
    return np.array([[probability for _, probability in sorted(ranked)] for ranked in answers])


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_many_pictures_get_the_numbers_that_each_gets_alone(
    predictor: Predictor, shapes: Path, batch_size: int
) -> None:
    paths = sorted(shapes.rglob("*.png"))
    together = list(predictor.stream(paths, batch_size=batch_size, threads=3))
    np.testing.assert_allclose(
        numbers(together), numbers([predictor.rank(path) for path in paths]), atol=1e-6
    )


def test_a_picture_is_the_same_as_path_as_pil_and_as_array(predictor: Predictor, shapes: Path) -> None:
    path = shapes / "cross" / "001.png"
    array = np.asarray(Image.open(path).convert("RGB"))
    opaque = np.dstack([array, np.full(array.shape[:2], 255, np.uint8)])
    same: list[Picture] = [path, str(path), Image.open(path), array, opaque, array[::-1][::-1]]
    answers = predictor.predict(same)
    for batch in (path, Image.open(path), array, array[None]):
        answers += predictor.predict(batch)
    assert len(answers) == 10
    np.testing.assert_allclose(numbers(answers), numbers(answers[:1] * 10), atol=1e-6)


def test_an_array_of_four_dimensions_is_a_batch(predictor: Predictor, shapes: Path) -> None:
    paths = sorted(shapes.rglob("*.png"))[::20]
    batch = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    np.testing.assert_allclose(
        numbers(predictor.predict(batch)), numbers(predictor.predict(paths)), atol=1e-6
    )
    assert predictor.predict(batch[:0]) == []


def test_grey_arrays_stand_for_equal_colours(predictor: Predictor) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    answers = predictor.predict([grey, grey[:, :, None], np.dstack([grey] * 3)])
    np.testing.assert_allclose(numbers(answers), numbers(answers[:1] * 3), atol=1e-6)


def test_a_pil_picture_is_turned_upright_as_its_file_is(predictor: Predictor, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "p.png", exif=exif)
    from_file, from_pil = predictor.predict([tmp_path / "p.png", Image.open(tmp_path / "p.png")])
    assert from_file == from_pil


def test_top_cuts_the_ranking(predictor: Predictor, shapes: Path) -> None:
    path = shapes / "cross" / "000.png"
    assert predictor.predict(path, top=2)[0] == predictor.rank(path)[:2]
    assert predictor.predict(path, top=99)[0] == predictor.rank(path)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((16, 16, 3), np.float32), r"array float32\[16, 16, 3\] is no picture; uint8 is needed"),
        (np.zeros((2, 16, 16, 3)), "float64.*uint8 is needed"),
        (np.zeros((16, 16, 2), np.uint8), r"uint8\[H, W\] or \[H, W, C\]"),
        (np.zeros((0, 16, 3), np.uint8), r"uint8\[0, 16, 3\] is no picture"),
        (np.zeros(16, np.uint8), r"uint8\[16\] is no picture"),
        ([3], "int: not a picture"),
        ([torch.zeros(3, 16, 16)], "Tensor: not a picture"),
        (Image.new("F", (4, 4)), "no agreed range"),
        (Image.new("L", (0, 4)), "0 x 4 is outside"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(predictor: Predictor, picture: Any, reason: str) -> None:
    with pytest.raises(PictureError, match=reason) as caught:
        predictor.predict(picture)
    assert str(caught.value).isprintable()


def test_a_truncated_file_opened_by_pil_is_a_picture_error(predictor: Predictor, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "p.png")
    (tmp_path / "p.png").write_bytes((tmp_path / "p.png").read_bytes()[:3000])
    with (
        Image.open(tmp_path / "p.png") as picture,
        pytest.raises(PictureError, match=r"p\.png: cannot be used"),
    ):
        predictor.predict(picture)


def test_a_stream_answers_the_bad_with_errors_and_keeps_the_order(predictor: Predictor, shapes: Path) -> None:
    paths = sorted(shapes.rglob("*.png"))
    mixed = [path for good in paths for path in (good, good.with_name(f"no {good.name}"))]
    answers = list(predictor.stream(mixed, batch_size=5))
    np.testing.assert_allclose(numbers(answers[::2]), numbers(predictor.predict(paths)), atol=1e-6)
    assert [str(answer) for answer in answers[1::2]] == [f"{path}: no such file" for path in mixed[1::2]]


def test_a_stream_reads_only_a_little_ahead_and_ends_when_nobody_listens(
    predictor: Predictor, shapes: Path
) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield shapes / "circle" / "000.png"

    stream = predictor.stream(endless(), batch_size=8, threads=2)
    for _ in range(100):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert 100 <= taken <= 200
    for thread in threading.enumerate():
        if thread.name.startswith("smidgen-predict"):
            thread.join(10)
            assert not thread.is_alive()


def test_no_pictures_have_no_answers(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


# ── none of these ────────────────────────────────────────────────────────────────────────────────────


def with_threshold(fitted: Fitted, entry: object) -> Predictor:
    engine = Engine(fitted.folder / "model.safetensors")
    return Predictor(engine.network, engine, {"none_of_these": entry})


SCORE = "maximum softmax probability"


def test_none_of_these_is_a_best_answer_below_the_threshold(fitted: Fitted, shapes: Path) -> None:
    path = shapes / "circle" / "000.png"
    best = with_threshold(fitted, None).rank(path)[0].probability
    for threshold, expected in ((best, False), (np.nextafter(best, 2), True), (0, False), (1, True)):
        predictor = with_threshold(fitted, {"score": SCORE, "threshold": float(threshold), "kept": 0.95})
        assert predictor.none_of_these(predictor.rank(path)) is expected


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "x",
        {},
        {"score": SCORE},
        {"threshold": 0.5},
        {"score": "energy", "threshold": 0.5},
        {"score": SCORE, "threshold": "0.5"},
        {"score": SCORE, "threshold": True},
        {"score": SCORE, "threshold": -0.1},
        {"score": SCORE, "threshold": 10**400},
        {"score": SCORE, "threshold": [0.5]},
        {"score": SCORE, "threshold": float("nan")},
    ],
)
def test_a_threshold_that_makes_no_sense_is_none(fitted: Fitted, shapes: Path, entry: object) -> None:
    predictor = with_threshold(fitted, entry)
    assert predictor.threshold is None
    assert predictor.none_of_these(predictor.rank(shapes / "circle" / "000.png")) is None


def test_the_threshold_comes_from_the_model_file(fitted: Fitted, tmp_path: Path) -> None:
    file = modelfile.read(fitted.folder / "model.safetensors")
    provenance = {"none_of_these": {"score": SCORE, "threshold": 0.25}}
    modelfile.write(tmp_path / "m.safetensors", ModelFile(file.network, file.tensors, provenance))
    assert opened(tmp_path / "m.safetensors").threshold == 0.25


# ── model files that mean harm ───────────────────────────────────────────────────────────────────────


def saved(path: Path, network: Network) -> str:
    save(path, network, create(network))
    return str(path)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (Shape(3, 1 << 23, 1 << 23), "pixels, above the limit of 67,108,864"),
        (Shape(3, 8192, 8193), "8,192 x 8,193 is 67,117,056 pixels, above the limit"),
        (Shape(3, 8192, 8192), "GiB of memory in its network, above the limit of 4 GiB"),
    ],
)
def test_an_input_that_would_fill_the_memory_is_refused(tmp_path: Path, shape: Shape, reason: str) -> None:
    network = dataclasses.replace(families.network("resnet20", num_classes=2, resolution=16), input=shape)
    with pytest.raises(ModelFileError, match=reason):
        require_sensible(network, "m")
    with pytest.raises(SmidgenError, match="too large"):  # also where nobody asked for pictures
        Engine(saved(tmp_path / "m.safetensors", network))


def test_a_network_that_sees_no_pictures_is_refused(tmp_path: Path) -> None:
    network = families.network("resnet20", num_classes=2, c_in=4, resolution=16)
    with pytest.raises(ModelFileError, match="4 channels; pictures have 1"):
        Engine(saved(tmp_path / "m.safetensors", network)).predict(np.zeros((4, 4), np.uint8))


def test_the_limit_admits_every_published_network() -> None:
    assert all(families.network(name).cost().peak_bytes < MEMORY_LIMIT / 10 for name in families.names())


def test_answers_that_are_no_numbers_are_said_to_come_from_damage(fitted: Fitted, shapes: Path) -> None:
    network = Engine(fitted.folder / "model.safetensors").network
    answers = np.full((1, network.num_classes), np.nan, np.float32)
    with pytest.raises(ModelFileError, match="weights are damaged"):
        Predictor(network, lambda _: answers).rank(shapes / "circle" / "000.png")


def test_classes_too_far_behind_for_a_probability_still_rank_by_their_outputs(
    fitted: Fitted, shapes: Path
) -> None:
    network = Engine(fitted.folder / "model.safetensors").network
    outputs = np.array([[-300, 0, -200]], np.float32)
    wide = dataclasses.replace(network, classes=())
    ranked = Predictor(wide, lambda _: outputs).rank(shapes / "circle" / "000.png")
    assert [answer.name for answer in ranked] == ["1", "2", "0"]
