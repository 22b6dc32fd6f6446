import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen import families
from smidgen.spec import DataError, Shape, SmidgenError
from smidgen.train.material import LARGEST_DEFAULT, Part, Reading, part_of, prepare
from smidgen.watch import Watch
from tiny_run import CLASSES, write_shapes


class Listening(Watch):
    def __init__(self) -> None:
        self.news: list[str] = []

    def say(self, text: str) -> None:
        self.news.append(text)


def grey(folder: Path, side: Callable[[int], int], level: Callable[[int], int]) -> Path:
    for number in range(24):
        path = folder / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((side(number), side(number)), level(number), np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def test_colour_pictures_have_three_channels_and_their_own_size(shapes: Path) -> None:
    material = prepare(str(shapes), watch=Watch())
    assert material.shape == Shape(3, 16, 16)
    assert material.dataset.classes == CLASSES
    assert material.preprocess.resize == 16


def test_grey_pictures_have_one_channel(tmp_path: Path) -> None:
    material = prepare(str(grey(tmp_path / "g", lambda _: 9, lambda number: 10 * number)), watch=Watch())
    assert material.shape == Shape(1, 9, 9)
    assert len(material.preprocess.mean) == len(material.preprocess.std) == 1


def test_the_default_resolution_is_the_median_side(tmp_path: Path) -> None:
    sides = [10 + number for number in range(24)]
    material = prepare(str(grey(tmp_path / "g", sides.__getitem__, lambda n: 10 * n)), watch=Watch())
    assert material.resolution == round(statistics.median(sides))


def test_large_pictures_are_shrunk_to_the_largest_default_unless_asked(tmp_path: Path) -> None:
    data = str(grey(tmp_path / "g", lambda _: 150, lambda number: 10 * number))
    assert prepare(data, watch=Watch()).resolution == LARGEST_DEFAULT
    assert prepare(data, resolution=120, watch=Watch()).resolution == 120


def test_blank_pictures_get_a_deviation_that_can_be_divided_by(tmp_path: Path) -> None:
    material = prepare(str(grey(tmp_path / "g", lambda number: 5 + number, lambda _: 200)), watch=Watch())
    assert min(material.preprocess.std) > 0.1


def test_only_training_pictures_decide_mean_and_deviation(tmp_path: Path) -> None:
    for part, level in (("train", 50), ("val", 250), ("test", 220)):
        grey(tmp_path / "d" / part, lambda _: 6, lambda number, level=level: level - number)  # type: ignore[misc]
    material = prepare(str(tmp_path / "d"), watch=Watch())
    assert material.preprocess.mean[0] == pytest.approx((50 - 11.5) / 255, abs=1e-4)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_pixels_are_the_pictures_of_the_part_with_their_labels(shapes: Path, part: Part) -> None:
    material = prepare(str(shapes), watch=Watch())
    data = material.pixels(part, Watch())
    indices = part_of(material.split, part)
    assert len(data) == len(indices) > 0
    for row, index in enumerate(indices):
        name = material.dataset.pictures[index].name
        np.testing.assert_array_equal(data.pictures[row], np.asarray(Image.open(shapes / name)))
        assert CLASSES[data.labels[row]] == name.partition("/")[0]


def test_another_seed_splits_otherwise_and_the_fingerprint_stays(shapes: Path) -> None:
    first, second = (prepare(str(shapes), seed=seed, watch=Watch()) for seed in (0, 1))
    assert first.split != second.split
    assert first.fingerprint == second.fingerprint


def test_the_arrangement_knows_parts_and_names(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for seed, part in enumerate(("train", "val", "test")):
        write_shapes(data / part, 4, seed=seed)
    before = prepare(str(data), watch=Watch())
    (data / "train" / "circle" / "000.png").rename(data / "test" / "circle" / "moved.png")
    moved = prepare(str(data), watch=Watch())
    (data / "test" / "circle" / "moved.png").rename(data / "train" / "circle" / "zzz.png")
    renamed = prepare(str(data), watch=Watch())
    assert before.fingerprint == moved.fingerprint == renamed.fingerprint
    assert len({before.arrangement, moved.arrangement, renamed.arrangement}) == 3


def test_copies_that_are_left_out_are_told_by_part(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for seed, part in enumerate(("train", "val", "test")):
        write_shapes(data / part, 4, seed=seed)
    for part in ("train", "val"):
        shutil.copy(data / "test" / "circle" / "000.png", data / part / "circle" / "copy.png")
    watch = Listening()
    prepare(str(data), watch=watch)
    assert "left out, for copies of them stand in another part: 1 of train, 1 of val" in watch.news


def test_nearly_identical_pictures_in_two_parts_are_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for seed, part in enumerate(("train", "val", "test")):
        write_shapes(data / part, 4, seed=seed)
    with Image.open(data / "test" / "circle" / "000.png") as picture:
        brighter = picture.point(lambda value: min(255, value + 1))
    brighter.save(data / "train" / "circle" / "again.png")
    watch = Listening()
    material = prepare(str(data), watch=watch)
    told = [line for line in watch.news if line.startswith("nearly identical pictures in two parts: ")]
    assert len(told) == 1
    assert material.near_identical >= 1


def test_left_out_and_contradictory_pictures_are_told(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", 8)
    (data / "circle" / "bad.png").write_text("no picture")
    (data / "cross" / "same.png").write_bytes((data / "circle" / "000.png").read_bytes())
    with pytest.raises(DataError, match=r"bad\.png.*--skip-bad"):
        prepare(str(data), watch=Watch())
    watch = Listening()
    prepare(str(data), reading=Reading(skip_bad=True), watch=watch)
    assert any("bad.png" in line and line.startswith("left out") for line in watch.news)
    assert "the same picture in two classes: circle/000.png and cross/same.png" in watch.news


@pytest.mark.parametrize(
    "numbers", [{"resolution": 0}, {"resolution": 16_385}, {"seed": -1}, {"seed": 1 << 63}]
)
def test_numbers_out_of_range_are_refused_before_the_data_are_opened(numbers: dict[str, int]) -> None:
    with pytest.raises(SmidgenError, match="is outside"):
        prepare("nowhere", watch=Watch(), **numbers)  # type: ignore[arg-type]


def test_groups_stay_in_one_part_and_are_remembered(tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "data", 20)
    for path in list(data.rglob("*.png")):
        path.rename(path.with_stem(f"scene{int(path.stem) // 2}_{path.stem}"))
    pattern = r"(scene\d+)_"
    material = prepare(str(data), reading=Reading(group_by=pattern), watch=Watch())
    assert material.group_by == pattern
    parts: dict[str, set[str]] = {}
    for name in ("train", "val", "test"):
        for index in part_of(material.split, name):
            scene = Path(material.dataset.pictures[index].name).stem.partition("_")[0]
            parts.setdefault(scene, set()).add(name)
    assert len(parts) == 10
    assert all(len(where) == 1 for where in parts.values())


def test_pictures_that_memory_does_not_hold_are_refused_or_lie_on_the_disk(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = prepare(str(shapes), watch=Watch()).pixels("val", Watch())
    monkeypatch.setattr("smidgen.data.pixels.pictures_limit", lambda: 1000)
    with pytest.raises(DataError) as caught:
        prepare(str(shapes), watch=Watch())
    assert "\n" not in str(caught.value)
    material = prepare(str(shapes), scratch=tmp_path, watch=Watch())
    found = material.pixels("val", Watch())
    assert isinstance(found.pictures, np.memmap) or isinstance(found.pictures.base, np.memmap)
    np.testing.assert_array_equal(found.pictures, expected.pictures)
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_a_network_of_another_size_gets_pictures_of_its_own(shapes: Path) -> None:
    material = prepare(str(shapes), watch=Watch())
    network = families.network("resnet20", num_classes=3, c_in=3, resolution=24)
    assert material.pixels("train", Watch(), network).pictures.shape[1:] == (24, 24, 3)
    assert material.pixels("train", Watch()) is material.training
    fitted = material.fitted(families.network("resnet20", num_classes=3, c_in=3, resolution=16))
    assert material.pixels("train", Watch(), fitted) is material.training
    assert (fitted.classes, fitted.preprocess) == (CLASSES, material.preprocess)
