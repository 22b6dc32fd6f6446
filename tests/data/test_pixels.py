import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen.data import (
    Dataset,
    FilePicture,
    MemoryPicture,
    load_pixels,
    memory_limit,
    pictures_limit,
    survey,
)
from smidgen.graph.network import Preprocess
from smidgen.images import resize
from smidgen.spec import DataError, PictureError, Shape

RNG = np.random.default_rng(0)
PICTURES = tuple(
    MemoryPicture(str(n), n % 2, RNG.integers(0, 256, (5 + n % 3, 6), np.uint8)) for n in range(50)
)
DATASET = Dataset("memory", "a test", ("a", "b"), PICTURES)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_in_the_order_of_the_indices(channels: int) -> None:
    shape, preprocess, indices = Shape(channels, 4, 5), Preprocess(5), [7, 3, 3, 49, 0]
    pixels = load_pixels(DATASET, indices, shape, preprocess)
    assert pixels.dtype == np.uint8
    for index, row in zip(indices, pixels, strict=True):
        np.testing.assert_array_equal(row, resize(PICTURES[index].read(channels), shape, preprocess))


def test_no_indices_give_no_pictures() -> None:
    assert load_pixels(DATASET, [], Shape(3, 8, 8), Preprocess(8)).shape == (0, 8, 8, 3)


def test_too_much_for_memory_is_refused_with_what_fits() -> None:
    with pytest.raises(DataError) as caught:
        load_pixels(DATASET, range(60_000), Shape(3, 224, 224), Preprocess(224))
    assert str(caught.value) == (
        "60,000 pictures at 3x224x224 take 8.4 GiB of memory, above the limit of 4 GiB; resolution 152 fits, "
        "and SMIDGEN_MEMORY sets the limit"
    )
    assert 60_000 * 3 * 152**2 <= 4 * 2**30 < 60_000 * 3 * 160**2


def test_more_pictures_than_any_resolution_holds_asks_for_fewer() -> None:
    with pytest.raises(DataError, match="use fewer pictures"):
        load_pixels(DATASET, range(10**8), Shape(3, 8, 8), Preprocess(8))


def test_a_broken_picture_is_an_error_with_its_path(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    files = tuple(FilePicture(tmp_path / name, name, 0) for name in ("good.png", "bad.png"))
    with pytest.raises(PictureError, match=r"bad\.png: empty file"):
        load_pixels(Dataset("files", "", ("a", "b"), files), [0, 1], Shape(1, 3, 3), Preprocess(3))


# -- the limit, and what lies above it ----------------------------------------------------------------


def test_the_limit_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMIDGEN_MEMORY", raising=False)
    monkeypatch.setattr("smidgen.data.memory.memory", lambda: 6 * 2**30)
    assert memory_limit() == 3 * 2**30  # half of what the machine or its container has
    assert pictures_limit() == 3 * 2**29
    monkeypatch.setenv("SMIDGEN_MEMORY", "2GB")
    assert memory_limit() == 2_000_000_000
    monkeypatch.setenv("SMIDGEN_MEMORY", "1.5 KiB")
    assert memory_limit() == 1536
    assert pictures_limit() == 768
    monkeypatch.setenv("SMIDGEN_MEMORY", "100GB")
    assert pictures_limit() == 4 * 2**30


@pytest.mark.parametrize("text", ["much", "2 GB of it", "-1", "0", "0.2"])
def test_a_senseless_limit_is_refused_by_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_MEMORY", text)
    with pytest.raises(DataError, match="SMIDGEN_MEMORY") as caught:
        memory_limit()
    assert "\n" not in str(caught.value)


def test_above_the_limit_the_same_pixels_lie_in_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, preprocess = Shape(3, 4, 5), Preprocess(5)
    in_memory = load_pixels(DATASET, range(50), shape, preprocess, scratch=tmp_path)
    assert not isinstance(in_memory, np.memmap)
    monkeypatch.setenv("SMIDGEN_MEMORY", "2999")
    on_disk = load_pixels(DATASET, range(50), shape, preprocess, scratch=tmp_path)
    assert isinstance(on_disk, np.memmap)
    np.testing.assert_array_equal(on_disk, in_memory)
    assert list(tmp_path.iterdir()) == []


def test_without_scratch_the_limit_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_MEMORY", "2999")
    with pytest.raises(DataError, match="SMIDGEN_MEMORY sets the limit"):
        load_pixels(DATASET, range(50), Shape(3, 4, 5), Preprocess(5))


def test_a_missing_scratch_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_MEMORY", "10")
    with pytest.raises(DataError, match=r"gone: no room for .* \(No such file or directory\)"):
        load_pixels(DATASET, range(50), Shape(3, 4, 5), Preprocess(5), scratch=tmp_path / "gone")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_full_disk_is_one_line_before_anything_is_decoded(tmp_path: Path) -> None:
    # A limit on the size of files stands in for the full disk: the kernel refuses the blocks alike.
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from smidgen.data.memory import on_disk; from smidgen.spec import DataError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: on_disk((100, 100, 100, 3), Path(sys.argv[1]))\n"
        "except DataError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "no room for 0.0 GB of decoded pictures (File too large)" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_kept_pictures_are_what_reading_again_would_give(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (9, 7, 4)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "alpha.png")
    Image.fromarray(noise[:, :, :3]).save(tmp_path / "colour.png")
    Image.fromarray(noise[:, :, 0]).save(tmp_path / "grey.png")
    Image.new("RGB", (65, 64), "red").save(tmp_path / "large.png")
    names = sorted(path.name for path in tmp_path.iterdir())
    files = Dataset("f", "", ("a", "b"), tuple(FilePicture(tmp_path / name, name, 0) for name in names))
    kept = survey(files).kept
    assert sorted(kept) == [0, 1, 2]
    assert [kept[index].shape[2] for index in range(3)] == [3, 3, 1]
    for channels in (1, 3):
        shape, preprocess = Shape(channels, 6, 6), Preprocess(6)
        again = load_pixels(files, range(4), shape, preprocess)
        np.testing.assert_array_equal(load_pixels(files, range(4), shape, preprocess, kept=kept), again)


def test_no_more_is_kept_than_an_eighth_of_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        Image.new("L", (10, 10), number).save(tmp_path / f"{number}.png")
    files = tuple(FilePicture(path, path.name, 0) for path in tmp_path.iterdir())
    monkeypatch.setenv("SMIDGEN_MEMORY", "2000")
    assert len(survey(Dataset("f", "", ("a", "b"), files)).kept) == 2
