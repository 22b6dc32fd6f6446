"""What an accuracy is worth: beside naming the commonest class always, and beside guessing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from smidgen.report import formats
from smidgen.report.statistics import Interval, balanced_accuracy, balanced_interval

__all__ = ["FAR", "Standing", "advice", "standing"]

FAR = 0.05  # balanced accuracy so far below accuracy: the common classes hide the rare ones
# Of the way from guessing to being always right. An interval that holds chance and ends within is that of a
# network that has learnt little at most; one that reaches further is that of too few pictures.
NEAR = 1 / 3


class Standing(NamedTuple):
    """Answers on some pictures, and the two yardsticks beside them; all shares are fractions.

    accuracy   share of the pictures called right
    balanced   mean recall of the classes that have pictures, with its 95 % interval
    commonest  share of the pictures that belong to the commonest class: what naming it always would get
    present    classes that have pictures
    classes    that the network chooses from
    """

    accuracy: float
    balanced: float
    interval: Interval
    commonest: float
    present: int
    classes: int

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return 1 / self.classes

    @property
    def at_chance(self) -> bool:
        """Whether the interval of the balanced accuracy holds chance, and nothing far above it."""
        return self._holds_chance and not self.too_few

    @property
    def too_few(self) -> bool:
        """Whether the interval holds chance, but is so wide that it tells nothing."""
        return self._holds_chance and self.interval.high > self.chance + NEAR * (1 - self.chance)

    @property
    def misleading(self) -> bool:
        """Whether the accuracy alone would flatter: it is at most what naming the commonest class always
        gets, or the balanced accuracy is more than FAR below it. Where classes are as large as each other,
        chance says it already.
        """
        even = self.commonest <= 1 / self.present + FAR
        no_more = self.accuracy <= self.commonest and not (even and self._holds_chance)
        return no_more or self.balanced < self.accuracy - FAR

    @property
    def doubtful(self) -> bool:
        """Whether something has to stand beside the accuracy."""
        return self.misleading or self._holds_chance

    @property
    def _holds_chance(self) -> bool:
        return self.classes > 1 and self.interval.low <= self.chance

    def sentences(
        self,
        resolution: int | None = None,
        *,
        aspect: str | None = None,
        weighted: bool | None = None,
        again: bool = False,
    ) -> list[str]:
        """What has to stand beside the accuracy, where something has.

        resolution  of the pictures as the network sees them, in pixels
        aspect      how they became squares
        weighted    whether the classes counted alike in training; None where nobody knows
        again       whether the reader can train it anew
        """
        told = []
        if again and (absent := self.classes - self.present):
            told.append(
                f"{absent:,} of {self.classes:,} classes {'has' if absent == 1 else 'have'} no picture here: "
                "how well they are told is not known, and no figure speaks of them."
            )
        if self.misleading:
            told.append(
                f"The commonest class alone is {formats.percent(self.commonest)} of these pictures; "
                f"balanced accuracy, the mean over the classes that have some, is "
                f"{formats.percent(self.balanced)}."
            )
        if again and weighted is False and self.balanced < self.accuracy - FAR:
            told.append("Trained with --class-weights, rare classes count like common ones.")
        beside = (
            f"guessing gets a balanced accuracy of {formats.percent(self.chance)}, and here its "
            f"95\u202f% interval is {formats.percents(*self.interval)}."
        )
        if self.too_few:
            told.append(f"Too few pictures to tell from chance: {beside}")
        elif self.at_chance:
            told += [f"No better than chance: {beside}", advice(resolution, aspect, again=again)]
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
        len(sizes),
    )


# What to look at where pictures are not square, by what became of them.
_LOSSES = {
    "crop": "the crop: pictures far from square lose their sides",
    "squash": "the shapes: pictures far from square are squashed",
    "pad": "the pads: pictures far from square become small",
}


def advice(resolution: int | None = None, aspect: str | None = None, *, again: bool = True) -> str:
    """What to look at where a network has learnt nothing, the likeliest cause first.

    aspect  how pictures became squares; default: by a crop
    again   whether the reader can train it anew
    """
    seen = f" at {resolution} x {resolution} pixels" if resolution else ""
    larger = " (Training with --resolution makes them larger.)" if again else ""
    told = (
        f"Look first at the pictures as the network sees them{seen}: can you tell the classes apart?{larger} "
        f"Then at {_LOSSES.get(aspect or '', _LOSSES['crop'])}. "
        "Then at the labels: are they mixed up?"
    )
    return f"{told} Only then train with more --epochs or a larger budget." if again else told
