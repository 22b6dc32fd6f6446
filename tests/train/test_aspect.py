"""Which way pictures become squares, and that training and prediction go the same way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from heard import Heard
from smidgen import families, modelfile
from smidgen.graph import Aspect
from smidgen.images import normalise
from smidgen.predict import Predictor
from smidgen.program import draw_weights
from smidgen.run import Job
from smidgen.spec import SmidgenError
from smidgen.train.aspect import chosen_aspect, cut_away
from smidgen.train.material import Material, prepare
from smidgen.watch import Watch

ASPECTS: tuple[Aspect, ...] = get_args(Aspect)

LANDSCAPE, PORTRAIT = (30, 40), (40, 30)


def written(folder: Path, sizes: Sequence[tuple[int, int]], each: int = 12, level: int | None = None) -> Path:
    """Noise of these sizes (height, width) in turn, or single greys from `level` on, in two classes."""
    random = np.random.default_rng(0)
    for number in range(2 * each):
        height, width = sizes[number // 2 % len(sizes)]
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        if level is not None:
            pixels = np.full((height, width), level + number, np.uint8)
        path = folder / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.mark.parametrize(
    ("sizes", "aspect"),
    [
        ([(32, 32)], "crop"),
        ([(40, 50), (50, 40)], "crop"),  # 20 % and no more
        ([(30, 40)], "squash"),
        ([(240, 320), (320, 240)], "squash"),  # 16/9 between the two
        ([(3, 300)], "squash"),
        ([(20, 30), (30, 20)], "pad"),
        ([(10, 40), (40, 10), (30, 30)], "pad"),
        ([(20, 20)] * 6 + [(10, 90)] * 5, "crop"),  # most are square
        ([(20, 30)] * 19 + [(90, 10)], "squash"),  # one that is unlike the others decides nothing
    ],
)
def test_squares_are_cropped_like_ratios_squashed_and_unlike_ones_padded(
    sizes: list[tuple[int, int]], aspect: Aspect
) -> None:
    assert chosen_aspect(sizes) == aspect


def test_the_share_that_a_crop_cuts_away_is_of_the_area_and_of_the_median_picture() -> None:
    assert cut_away([(10, 40)]) == 0.75
    assert cut_away([(10, 40), (20, 20), (20, 10)]) == 0.5


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ([(20, 20)], None),
        (
            [(20, 40)],
            "pictures are squashed to squares: a crop would cut away 50 % of them; --aspect crop crops",
        ),
        (
            [(10, 40), (40, 10)],
            "pictures are padded to squares, as their shapes differ: a crop would cut away 75 % of them; "
            "--aspect crop crops",
        ),
    ],
)
def test_what_is_chosen_is_told_unless_it_is_a_crop(
    tmp_path: Path, sizes: list[tuple[int, int]], line: str | None
) -> None:
    heard = Heard()
    prepare(str(written(tmp_path / "data", sizes)), watch=heard)
    assert [told for told in heard.lines if "--aspect" in told] == ([] if line is None else [line])


def test_only_training_pictures_decide(tmp_path: Path) -> None:
    written(tmp_path / "data" / "train", [(20, 20)])
    for part in ("val", "test"):
        written(tmp_path / "data" / part, [(20, 80)], level=len(part) * 20)
    material = prepare(str(tmp_path / "data"), watch=Watch())
    assert (material.preprocess.aspect, material.cut_away) == ("crop", 0)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_what_is_asked_for_is_done_without_a_word(tmp_path: Path, aspect: Aspect) -> None:
    heard = Heard()
    material = prepare(str(written(tmp_path / "data", [(10, 40)])), aspect=aspect, watch=heard)
    assert material.preprocess.aspect == aspect
    assert not any("--aspect" in told for told in heard.lines)


@pytest.mark.parametrize(("aspect", "side"), [("crop", 10), ("squash", 20), ("pad", 40)])
def test_the_default_resolution_keeps_the_detail_of_small_pictures(
    tmp_path: Path, aspect: Aspect, side: int
) -> None:
    data = written(tmp_path / "data", [(10, 40), (40, 10)])
    assert prepare(str(data), aspect=aspect, watch=Watch()).resolution == side


def test_pads_have_the_mean_of_the_pictures_and_the_mean_knows_nothing_of_pads(tmp_path: Path) -> None:
    data = written(tmp_path / "data", [(10, 40)], level=100)
    material = prepare(str(data), aspect="pad", watch=Watch())
    levels = [material.survey.decoded[index] for index in material.split.train]
    greys = [picture.look[0] for picture in levels if picture]  # of a single grey, every look is that grey
    assert material.preprocess.mean[0] == pytest.approx(np.mean(greys) / 255, abs=1e-4)
    padded = material.pixels("train", Watch()).pictures
    assert np.all(padded[:, 0] == round(255 * material.preprocess.mean[0]))
    assert sorted(padded[:, 20, 20, 0]) == sorted(greys)


def test_each_network_gets_the_pads_of_its_own_mean(tmp_path: Path) -> None:
    material = prepare(str(written(tmp_path / "data", [(10, 40)])), aspect="pad", watch=Watch())
    network = material.fitted(families.network("resnet20", num_classes=2, resolution=material.resolution))
    material.pixels("train", Watch())
    red = type(network.preprocess)(material.resolution, "bilinear", (1.0, 0.0, 0.0), (1.0,) * 3, "pad")
    other = type(network)("red", "none", network.tree, network.input, red)
    assert material.pixels("train", Watch(), other).pictures[0, 0, 0].tolist() == [255, 0, 0]
    assert material.pixels("train", Watch(), network).pictures[0, 0, 0].tolist() == [*network.preprocess.fill]


def through_a_file(material: Material, folder: Path) -> tuple[Predictor, list[NDArray[np.float32]]]:
    """The predictor of a model file for the material, and what its network was given."""
    network = families.network("resnet20", num_classes=2, resolution=material.resolution)
    network = material.fitted(network)
    modelfile.write(folder / "m.safetensors", modelfile.ModelFile(network, draw_weights(network)))
    read = modelfile.read(folder / "m.safetensors").network
    given: list[NDArray[np.float32]] = []

    def forward(x: NDArray[np.float32]) -> NDArray[np.float32]:
        given.append(x)
        return np.zeros((len(x), 2), np.float32)

    return Predictor(read, forward), given


@pytest.mark.parametrize("aspect", ASPECTS)
def test_training_and_prediction_see_the_same_bytes(tmp_path: Path, aspect: Aspect) -> None:
    data = written(tmp_path / "data", [(13, 40), (50, 21)])
    material = prepare(str(data), aspect=aspect, resolution=24, watch=Watch())
    predictor, given = through_a_file(material, tmp_path)
    assert predictor.network.preprocess.aspect == aspect
    names = [str(data / material.dataset.pictures[index].name) for index in material.split.val]
    predictor.predict(names)
    trained_on = material.pixels("val", Watch(), predictor.network).pictures
    np.testing.assert_array_equal(np.concatenate(given), normalise(trained_on, predictor.network.preprocess))


def test_a_padded_picture_lies_whole_in_what_is_trained_on(tmp_path: Path) -> None:
    data = written(tmp_path / "data", [(13, 40)])
    material = prepare(str(data), aspect="pad", resolution=24, watch=Watch())
    first = data / material.dataset.pictures[material.split.train[0]].name
    with Image.open(first) as image:
        wanted = ImageOps.pad(image, (24, 24), Image.Resampling.BILINEAR, material.preprocess.fill)
    np.testing.assert_array_equal(material.pixels("train", Watch()).pictures[0], wanted)


def test_a_job_refuses_a_way_that_there_is_not_and_remembers_the_one_it_has() -> None:
    with pytest.raises(SmidgenError, match=r"aspect=stretch: one of crop, squash, pad is needed"):
        Job("data", aspect="stretch")  # type: ignore[arg-type]
    assert Job.from_json(Job("data", aspect="pad").to_json()).aspect == "pad"
