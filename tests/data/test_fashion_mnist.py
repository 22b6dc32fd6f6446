import gzip
import hashlib
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from loopback import serving
from smidgen.data import open_dataset, sets
from smidgen.data.sets import fashion_mnist
from smidgen.data.sets.fashion_mnist import File
from smidgen.spec import DataError


def packed(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def row(name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> File:
    content = packed(array)
    digests = (hashlib.sha256(part).hexdigest() for part in (content, gzip.decompress(content)))
    return File(name, array.shape, len(content), *digests)


RNG = np.random.default_rng(0)
ARRAYS = {
    "train-images": RNG.integers(0, 256, (20, 28, 28)).astype(np.uint8),
    "train-labels": np.arange(20, dtype=np.uint8) % 10,
    "test-images": RNG.integers(0, 256, (10, 28, 28)).astype(np.uint8),
    "test-labels": np.arange(10, dtype=np.uint8),
}
ROWS = {name: row(name, array) for name, array in ARRAYS.items()}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the set, whose published files are four small ones; returns its cache."""
    for kind in ("images", "labels"):
        rows = {part: ROWS[f"{part}-{kind}"] for part in ("train", "test")}
        monkeypatch.setattr(fashion_mnist, kind.upper(), rows)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("SMIDGEN_FASHION_MNIST", raising=False)
    monkeypatch.delenv("SMIDGEN_DATA_MIRROR", raising=False)
    return tmp_path / "cache" / "datasets" / "fashion-mnist"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A mirror on the loopback interface; yields what it was asked for."""
    with serving(lambda path: packed(ARRAYS[path.strip("/").removesuffix(".gz")])) as (address, asked):
        monkeypatch.setenv("SMIDGEN_DATA_MIRROR", address)
        yield asked


def lay(folder: Path, *, plain: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, array in ARRAYS.items():
        content = gzip.decompress(packed(array)) if plain else packed(array)
        (folder / (name if plain else f"{name}.gz")).write_bytes(content)
    return folder


def test_a_missing_set_says_how_to_get_it_and_asks_no_server(nowhere: Path, server: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset("fashion-mnist")
    assert "`smidgen check fashion-mnist --download` fetches it" in str(caught.value)
    assert "SMIDGEN_FASHION_MNIST" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server == []
    assert not nowhere.exists()


def test_the_download_is_asked_for_and_happens_once(nowhere: Path, server: list[str]) -> None:
    seen: list[tuple[int, int]] = []
    sets.download("fashion-mnist", lambda done, total: seen.append((done, total)))
    assert sorted(server) == sorted(f"/{name}.gz" for name in ROWS)
    assert sorted(path.name for path in nowhere.iterdir()) == sorted(f"{name}.gz" for name in ROWS)
    total = sum(file.packed_bytes for file in ROWS.values())
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    sets.download("fashion-mnist")
    assert len(server) == 4
    dataset = open_dataset("fashion-mnist")
    assert Counter(dataset.given_split) == {"train": 20, "test": 10}
    np.testing.assert_array_equal(dataset.pictures[3].read(1)[:, :, 0], ARRAYS["train-images"][3])
    assert [picture.label for picture in dataset.pictures[20:]] == list(range(10))


def test_another_file_than_the_published_one_is_not_kept(
    nowhere: Path, server: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARRAYS, "train-labels", np.zeros(20, np.uint8))
    with pytest.raises(DataError, match="SHA-256 starts with") as caught:
        sets.download("fashion-mnist")
    assert "\n" not in str(caught.value)
    assert [path.name for path in nowhere.iterdir()] == ["train-images.gz"]


@pytest.mark.parametrize("plain", [False, True])
def test_a_named_folder_comes_first(
    nowhere: Path, tmp_path: Path, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_FASHION_MNIST", str(lay(tmp_path / "mine", plain=plain)))
    assert len(open_dataset("fashion-mnist").pictures) == 30
    (tmp_path / "mine" / ("test-labels" if plain else "test-labels.gz")).unlink()
    lay(tmp_path / "debian")
    with pytest.raises(DataError, match=r"mine, which has no test-labels or test-labels\.gz"):
        open_dataset("fashion-mnist")


def test_a_changed_picture_is_refused(nowhere: Path) -> None:
    lay(nowhere)
    changed = ARRAYS["test-images"].copy()
    changed[0, 0, 0] ^= 1
    (nowhere / "test-images.gz").write_bytes(packed(changed))
    with pytest.raises(DataError, match="not the published test-images, its hash differs"):
        open_dataset("fashion-mnist")


def test_an_embedded_set_needs_no_download() -> None:
    sets.download("digits")


def test_an_unknown_set_cannot_be_downloaded() -> None:
    with pytest.raises(DataError, match="no set 'mode-mnist'"):
        sets.download("mode-mnist")


def test_the_published_set_opens_fast_and_whole() -> None:
    start = time.process_time()
    try:
        dataset = open_dataset("fashion-mnist")
    except DataError as error:
        pytest.skip(str(error))
    assert time.process_time() - start < 2
    assert Counter(dataset.given_split) == {"train": 60_000, "test": 10_000}
    assert Counter(picture.label for picture in dataset.pictures) == dict.fromkeys(range(10), 7_000)
    assert dataset.pictures[-1].read(3).shape == (28, 28, 3)
