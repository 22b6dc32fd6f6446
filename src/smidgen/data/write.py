"""A data set as a folder of PNG files, a subfolder per class."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from smidgen.data.dataset import Dataset
from smidgen.data.parallel import Progress, map_threads
from smidgen.images import drop_equal_channels
from smidgen.spec import DataError

__all__ = ["write_folder"]


def write_folder(dataset: Dataset, folder: Path, progress: Progress | None = None) -> None:
    """Write every picture as CLASS/NUMBER.png, below train, val and test where the split is given.

    Grey pictures are written grey. The folder appears only once it is complete.

    Raises   DataError when the folder exists and is not empty, when a class cannot be the name of a
             folder, or when the disk refuses; PictureError when a picture cannot be read.
    """
    for name in dataset.classes:
        if name in ("", ".", "..") or name.startswith(".") or set(name) & set("/\\\0"):
            raise DataError(f"class '{name}' cannot be the name of a folder; rename it")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder}: exists already and nothing is overwritten; choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            complete = Path(scratch, folder.name)
            _write(dataset, complete, progress)
            complete.rename(folder)  # replaces an empty folder, fails on any other
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error})") from None


def _write(dataset: Dataset, folder: Path, progress: Progress | None) -> None:
    digits = max(5, len(str(len(dataset.pictures))))

    def place(index: int) -> Path:
        part = dataset.given_split[index] if dataset.given_split else ""
        return folder / part / dataset.classes[dataset.pictures[index].label] / f"{index:0{digits}}.png"

    def write(index: int) -> None:
        pixels = drop_equal_channels(dataset.pictures[index].read(3))
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        with place(index).open("xb") as stream:
            image.save(stream, "PNG")

    indices = [index for index, picture in enumerate(dataset.pictures) if picture.label >= 0]
    for parent in {place(index).parent for index in indices}:
        parent.mkdir(parents=True)
    map_threads(write, indices, progress)
