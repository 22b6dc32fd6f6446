"""ImageNet's validation part, by small archives of the same form, whose sums stand in for the published."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from smidgen.data import open_dataset
from smidgen.data.sets import imagenet_val
from smidgen.imagenet import imagenet_classes
from smidgen.spec import DataError

# The kit counts its classes in an order of its own; published networks by WordNet id.
SYNSETS = [f"n{number:08}" for number in np.random.default_rng(0).permutation(1000) + 1_440_764]
HYPERNYMS = [f"n{number:08}" for number in range(860)]
TRUTH = [490, 361, 171, 822, 1000, 1]


def jpeg(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (40 * number, 30, 200)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


PICTURES = {f"ILSVRC2012_val_{number:08}.JPEG": jpeg(number) for number in range(1, len(TRUTH) + 1)}


def table(*, compressed: bool) -> bytes:
    """meta.mat as scipy writes it, with the fields that the kit's readme lists first."""
    rows = np.zeros(
        (len(SYNSETS + HYPERNYMS), 1), [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O")]
    )
    for number, synset in enumerate(SYNSETS + HYPERNYMS):
        rows[number, 0] = (float(number + 1), synset, "a word, another", "in the 1990s, 12345678 of them")
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"synsets": rows}, do_compression=compressed)
    return stream.getvalue()


def archive(files: dict[str, bytes], mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as made:  # type: ignore[call-overload]
        for name, content in reversed(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(params=[True, False], ids=["compressed", "plain"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the kit and the archive of the pictures."""
    truth = "".join(f"{number}\n" for number in TRUTH).encode()
    files = {imagenet_val._TRUTH: truth, imagenet_val._SYNSETS: table(compressed=request.param)}
    kit, packed = archive(files, "w:gz"), archive(PICTURES, "w:")
    (tmp_path / imagenet_val.KIT).write_bytes(kit)
    (tmp_path / imagenet_val.ARCHIVE).write_bytes(packed)
    for name, content in (("KIT_MD5", kit), ("ARCHIVE_MD5", packed)):
        monkeypatch.setattr(imagenet_val, name, hashlib.md5(content, usedforsecurity=False).hexdigest())
    monkeypatch.setenv("SMIDGEN_IMAGENET_VAL", str(tmp_path))
    return tmp_path


def test_labels_count_classes_in_the_order_of_their_wordnet_ids(folder: Path) -> None:
    dataset = open_dataset("imagenet-val")
    assert dataset.classes == imagenet_classes()
    expected = [int(SYNSETS[number - 1][1:]) - 1_440_764 for number in TRUTH]
    assert [picture.label for picture in dataset.pictures] == expected


def test_pictures_in_the_archive_are_those_beside_it(folder: Path) -> None:
    packed = [
        (picture.name, picture.label, picture.read(3)) for picture in open_dataset("imagenet-val").pictures
    ]
    (folder / imagenet_val.ARCHIVE).unlink()
    (folder / "val").mkdir()
    for name, content in PICTURES.items():
        (folder / "val" / name).write_bytes(content)
    loose = open_dataset("imagenet-val")
    for number, ((name, label, pixels), picture) in enumerate(zip(packed, loose.pictures, strict=True), 1):
        assert (name, label) == (picture.name, picture.label)
        np.testing.assert_array_equal(pixels, picture.read(3))
        assert abs(int(pixels[3, 3, 0]) - 40 * number) <= 3


@pytest.mark.parametrize("name", [imagenet_val.KIT, imagenet_val.ARCHIVE])
def test_a_changed_byte_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: not the published file, its MD5 is not \w+"):
        open_dataset("imagenet-val")


def test_a_picture_that_is_missing_is_told(folder: Path) -> None:
    (folder / imagenet_val.ARCHIVE).unlink()
    for name, content in list(PICTURES.items())[:-1]:
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=r"neither ILSVRC2012_img_val\.tar nor all of its 6 pictures"):
        open_dataset("imagenet-val")


def test_a_missing_kit_and_a_missing_folder_say_what_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_IMAGENET_VAL", str(tmp_path))
    with pytest.raises(DataError, match=r"has no ILSVRC2012_devkit_t12\.tar\.gz; it must be a folder"):
        open_dataset("imagenet-val")
    monkeypatch.delenv("SMIDGEN_IMAGENET_VAL")
    with pytest.raises(DataError, match="set SMIDGEN_IMAGENET_VAL to a folder that has"):
        open_dataset("imagenet-val")


@pytest.mark.skipif("SMIDGEN_IMAGENET_VAL" not in os.environ, reason="imagenet-val is not on this machine")
def test_the_published_part_has_the_labels_that_others_list() -> None:
    dataset = open_dataset("imagenet-val")
    assert len(dataset.pictures) == 50_000
    # The first lines of val.txt in Caffe's caffe_ilsvrc12.tar.gz.
    assert [picture.label for picture in dataset.pictures[:6]] == [65, 970, 230, 809, 516, 57]
