"""A tiny data set: three shapes in three colours on dark noise, a folder for each."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"circle": (220, 40, 40), "cross": (40, 200, 60), "square": (50, 70, 230)}


def shapes(folder: Path, per_class: int = 20, side: int = 16, seed: int = 0) -> Path:
    """Write per_class pictures of each class into folder/CLASS/NUMBER.png; no two are equal."""
    random = np.random.default_rng(seed)
    for name in COLOURS:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            _shape(name, side, random).save(folder / name / f"{number:03}.png")
    return folder


def _shape(name: str, side: int, random: np.random.Generator) -> Image.Image:
    picture = Image.fromarray(random.integers(0, 60, (side, side, 3), dtype=np.uint8))
    pen, colour = ImageDraw.Draw(picture), COLOURS[name]
    left, top = (int(number) for number in random.integers(1, side // 3, 2))
    right, bottom = left + side // 2, top + side // 2
    if name == "circle":
        pen.ellipse((left, top, right, bottom), fill=colour)
    elif name == "square":
        pen.rectangle((left, top, right, bottom), fill=colour)
    else:
        pen.line((left, top, right, bottom), fill=colour, width=2)
        pen.line((left, bottom, right, top), fill=colour, width=2)
    return picture


def files(*folders: Path) -> dict[str, bytes]:
    """Everything below the folders, with content; folders end in a slash."""
    return {
        str(path) + "/" * path.is_dir(): b"" if path.is_dir() else path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
    }
