"""ImageNet's validation part of ILSVRC 2012: 50,000 colour photographs in a thousand classes.

Read from the folder SMIDGEN_IMAGENET_VAL, which has ILSVRC2012_devkit_t12.tar.gz, and beside it
ILSVRC2012_img_val.tar or the pictures out of it. Classes are in the order and bear the names of published
networks' outputs: `smidgen eval efficientnet_lite0 imagenet-val` measures one of these.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from smidgen.data.dataset import Dataset, FilePicture, PackedPicture, Picture
from smidgen.imagenet import imagenet_classes
from smidgen.spec import DataError

__all__ = ["SOURCE", "read"]

SOURCE = (
    "O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge, arXiv:1409.0575, "
    "https://image-net.org/challenges/LSVRC/2012/, for non-commercial research"
)

VARIABLE = "SMIDGEN_IMAGENET_VAL"
KIT, ARCHIVE = "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_val.tar"
# As the download page has them, and torchvision's datasets/imagenet.py.
KIT_MD5, ARCHIVE_MD5 = "fa75699e90414af021442c21a62c3abf", "29b22e2961454d5413ddabcf34fc5622"

_TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
_SYNSETS = "ILSVRC2012_devkit_t12/data/meta.mat"
_COMPRESSED = 15  # type of an element in MATLAB's files
_HEADER = 128  # bytes before the first


def read() -> Dataset:
    """Read the set; names are those of the files. The archives' MD5 are checked, loose pictures are counted.

    Raises   DataError when a file is not there, or is not the published one.
    """
    folder = _folder()
    labels = _labels(folder / KIT)
    packed = folder / ARCHIVE
    pictures = tuple(_packed(packed, labels) if packed.is_file() else _loose(folder, labels))
    return Dataset("imagenet-val", SOURCE, imagenet_classes(), pictures)


def _folder() -> Path:
    wanted = f"a folder that has {KIT}, and {ARCHIVE} or its pictures, of https://image-net.org"
    chosen = os.environ.get(VARIABLE)
    if not chosen:
        raise DataError(f"imagenet-val is not on this machine; set {VARIABLE} to {wanted}")
    folder = Path(chosen).expanduser()
    if not (folder / KIT).is_file():
        raise DataError(f"{VARIABLE} is {folder}, which has no {KIT}; it must be {wanted}")
    return folder


def _labels(kit: Path) -> list[int]:
    """Class of each picture, in the order of their names, from 0."""
    _require(kit, KIT_MD5)
    with tarfile.open(kit) as archive:
        truth, table = (archive.extractfile(name) for name in (_TRUTH, _SYNSETS))
        assert truth is not None
        assert table is not None, "the published kit has both"
        synsets = _synsets(table.read())
        numbers = [int(line) for line in truth.read().split()]
    place = {synset: label for label, synset in enumerate(sorted(synsets))}
    return [place[synsets[number - 1]] for number in numbers]


def _synsets(table: bytes) -> list[str]:
    """WordNet ids of the classes in the kit's own order, which its numbers count from 1.

    The table is MATLAB's. Its rows stand in the order of the numbers, and those after the classes are their
    hypernyms; so the ids are picked out, in one byte a letter or in two.
    """
    kind = int.from_bytes(table[_HEADER : _HEADER + 4], "little")
    content = zlib.decompress(table[_HEADER + 8 :]) if kind == _COMPRESSED else table[_HEADER:]
    found = re.findall(rb"n\d{8}", content.replace(b"\0", b""))
    return [synset.decode() for synset in found[: len(imagenet_classes())]]


def _packed(path: Path, labels: list[int]) -> Iterator[Picture]:
    _require(path, ARCHIVE_MD5)
    with tarfile.open(path, "r:") as archive:
        members = sorted((member for member in archive if member.isfile()), key=lambda member: member.name)
    for member, label in zip(members, labels, strict=True):
        yield PackedPicture(path, Path(member.name).name, label, member.offset_data, member.size)


def _loose(folder: Path, labels: list[int]) -> Iterable[Picture]:
    for place in (folder, folder / "val", folder / "ILSVRC2012_img_val"):
        names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, len(labels) + 1)]
        there = {path.name for path in place.glob("ILSVRC2012_val_*.JPEG")}
        if there >= set(names):
            return (FilePicture(place / name, name, label) for name, label in zip(names, labels, strict=True))
    raise DataError(f"{folder}: has neither {ARCHIVE} nor all of its {len(labels):,} pictures")


def _require(path: Path, md5: str) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if digest.hexdigest() != md5:
        raise DataError(f"{path}: not the published file, its MD5 is not {md5}; fetch it again")
