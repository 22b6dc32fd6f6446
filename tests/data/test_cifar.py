"""CIFAR's binary format, by small files of the same form whose sums stand in for the published ones."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.data import open_dataset, sets, split, survey
from smidgen.data.cifar import Cifar
from smidgen.data.sets import cifar10, cifar100
from smidgen.spec import DataError

EACH = 20  # pictures a class and batch


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def batch(cifar: Cifar, number: int) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Labels, pixels uint8[N, 32, 32, 3] and the file, as the author's page describes it."""
    random = np.random.default_rng(number)
    labels = np.arange(len(cifar.classes) * EACH, dtype=np.uint8) % len(cifar.classes)
    pixels = random.integers(0, 256, (len(labels), 32, 32, 3), np.uint8)
    content = b"".join(
        bytes([7] * (cifar.label_bytes - 1) + [label])  # a coarse label that is nobody's
        + b"".join(picture[:, :, colour].tobytes() for colour in range(3))
        for label, picture in zip(labels, pixels, strict=True)
    )
    return labels, pixels, content


def packed(cifar: Cifar, files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{cifar.folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


class Small:
    """A small set of the same form, and a folder to lay it in."""

    def __init__(self, module: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cifar: Cifar = module.CIFAR
        made = {row.name: batch(cifar, number) for number, row in enumerate(cifar.batches)}
        self.folder = folder
        self.files = {name: content for name, (_, _, content) in made.items()}
        self.labels = np.concatenate([labels for labels, _, _ in made.values()])
        self.pixels = np.concatenate([pixels for _, pixels, _ in made.values()])
        self.archive = packed(cifar, self.files)
        self.cifar = cifar._replace(
            archive_md5=md5(self.archive),
            batches=tuple(row._replace(md5=md5(self.files[row.name])) for row in cifar.batches),
        )
        monkeypatch.setattr(module, "CIFAR", self.cifar)
        monkeypatch.setenv(cifar.variable, str(folder))

    def lay(self, place: str) -> None:
        if place == "archive":
            (self.folder / self.cifar.archive).write_bytes(self.archive)
            return
        folder = self.folder / self.cifar.folder if place == "inside" else self.folder
        folder.mkdir(exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


@pytest.fixture(params=[cifar10, cifar100], ids=["cifar10", "cifar100"])
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    return Small(request.param, tmp_path, monkeypatch)


@pytest.mark.parametrize("place", ["archive", "inside", "loose"])
def test_labels_and_colours_are_those_of_the_records(small: Small, place: str) -> None:
    small.lay(place)
    dataset = open_dataset(small.cifar.name)
    assert [picture.label for picture in dataset.pictures] == small.labels.tolist()
    for picture, pixels in list(zip(dataset.pictures, small.pixels, strict=True))[::97]:
        np.testing.assert_array_equal(picture.read(3), pixels)


def test_the_given_test_part_is_the_test_part(small: Small) -> None:
    small.lay("archive")
    dataset = open_dataset(small.cifar.name)
    parts = split(dataset, survey(dataset), 3)
    names = {dataset.pictures[index].name.partition("/")[0] for index in parts.test}
    assert names == {Path(row.name).stem for row in small.cifar.batches if row.part == "test"}
    assert len(parts.test) == len(small.cifar.classes) * EACH
    assert parts.val


@pytest.mark.parametrize("place", ["archive", "loose"])
def test_a_changed_byte_is_refused(small: Small, place: str) -> None:
    small.lay(place)
    path = sorted(path for path in small.folder.iterdir() if path.is_file())[-1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"{path.name}: not the published file, its MD5 is not \w+; fetch it"
    ):
        open_dataset(small.cifar.name)


def test_a_folder_without_a_file_says_what_it_must_have(small: Small) -> None:
    small.lay("loose")
    missing = small.cifar.batches[-1].name
    (small.folder / missing).unlink()
    with pytest.raises(DataError, match=rf"{small.cifar.archive}.*{missing}") as caught:
        open_dataset(small.cifar.name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_missing_set_names_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"SMIDGEN_{name.upper()}", raising=False)
    with pytest.raises(
        DataError, match=rf"set SMIDGEN_{name.upper()} to a folder that has .*binary\.tar\.gz"
    ):
        sets.load(name)


def test_grey_reading_of_a_colour_picture_is_its_luma(small: Small) -> None:
    small.lay("archive")
    picture = open_dataset(small.cifar.name).pictures[0]
    luma = picture.read(3) @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    np.testing.assert_allclose(picture.read(1)[:, :, 0], luma, atol=1)
