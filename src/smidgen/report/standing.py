"""What an accuracy is worth: beside naming the commonest class always, and beside guessing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from smidgen.report import formats
from smidgen.report.statistics import Interval, balanced_accuracy, balanced_interval

__all__ = ["FAR", "Standing", "advice", "standing"]

FAR = 0.05  # balanced accuracy so far below accuracy: the common classes hide the rare ones


class Standing(NamedTuple):
    """Answers on some pictures, and the two yardsticks beside them; all shares are fractions.

    accuracy   share of the pictures called right
    balanced   mean recall of the classes that have pictures, with its 95 % interval
    commonest  share of the pictures that belong to the commonest class: what naming it always would get
    present    classes that have pictures
    """

    accuracy: float
    balanced: float
    interval: Interval
    commonest: float
    present: int

    @property
    def at_chance(self) -> bool:
        """Whether the interval of the balanced accuracy holds 1 / classes, which is what guessing gets."""
        return self.present > 1 and self.interval.low <= 1 / self.present

    @property
    def misleading(self) -> bool:
        """Whether the accuracy alone would flatter: it is at most what naming the commonest class always
        gets, or the balanced accuracy is more than FAR below it.
        """
        return self.accuracy <= self.commonest or self.balanced < self.accuracy - FAR

    def sentences(self, resolution: int | None = None, *, weighted: bool = False) -> list[str]:
        """What has to stand beside the accuracy, where something has.

        resolution  of the pictures as the network sees them, in pixels
        weighted    whether the classes counted alike in training
        """
        told = []
        if self.misleading:
            told.append(
                f"The commonest class alone is {formats.percent(self.commonest)} of these pictures; "
                f"balanced accuracy, which counts every class alike, is {formats.percent(self.balanced)}."
            )
        if self.balanced < self.accuracy - FAR and not weighted:
            told.append("Trained with --class-weights, rare classes count like common ones.")
        if self.at_chance:
            told.append(
                "No better than chance: guessing gets a balanced accuracy of "
                f"{formats.percent(1 / self.present)}, and here its 95\u202f% interval is "
                f"{formats.percents(*self.interval)}."
            )
            told.append(advice(resolution))
        return told


def standing(confusion: ArrayLike) -> Standing | None:
    """What the answers of a confusion matrix are worth; None where it holds no pictures.

    confusion  int[K, K], rows are the true classes
    """
    counts = np.asarray(confusion, np.int64)
    balanced, interval = balanced_accuracy(counts), balanced_interval(counts)
    if balanced is None or interval is None:
        return None
    sizes, total = counts.sum(axis=1), int(counts.sum())
    return Standing(
        int(np.trace(counts)) / total,
        balanced,
        interval,
        int(sizes.max()) / total,
        int(np.count_nonzero(sizes)),
    )


def advice(resolution: int | None = None) -> str:
    """What to look at where a network has learnt nothing, the likeliest cause first."""
    seen = f" at {resolution} x {resolution} pixels" if resolution else ""
    return (
        f"Look first at the pictures as the network sees them{seen}: can you tell the classes apart? "
        "(--resolution makes them larger.) Then at the crop: pictures far from square lose their sides. "
        "Then at the labels: are they mixed up? Only then give more --epochs or a larger budget."
    )
