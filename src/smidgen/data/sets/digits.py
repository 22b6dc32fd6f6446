"""Handwritten digits: 1,797 grey pictures of 8 x 8, embedded, so that a first run needs no network."""

from __future__ import annotations

from importlib import resources

import numpy as np

from smidgen.data.dataset import Dataset, MemoryPicture

__all__ = ["SOURCE", "read"]

SOURCE = (
    "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository "
    "1998, doi:10.24432/C50P49, CC BY 4.0; its test part, as shipped in scikit-learn"
)

# The original counts the inked pixels in each 4 x 4 block of a 32 x 32 bitmap.
_FULL_INK = 16


def read() -> Dataset:
    """Read the set. Ink 0..16 becomes grey 0..255, white on black: round(ink * 255 / 16)."""
    with resources.files(__package__).joinpath("digits.npz").open("rb") as stream, np.load(stream) as file:
        ink, labels = file["ink"], file["labels"]
    greys = np.round(ink * (255 / _FULL_INK)).astype(np.uint8)
    pictures = tuple(
        MemoryPicture(f"{label}/{number:04}", int(label), grey)
        for number, (label, grey) in enumerate(zip(labels, greys, strict=True))
    )
    return Dataset("digits", SOURCE, tuple("0123456789"), pictures)
