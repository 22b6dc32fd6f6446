"""What a run tells of its pictures, before it trains on them and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from smidgen import report
from smidgen.data import class_counts, unbalanced_news
from smidgen.spec import counted
from smidgen.train import EpochRow, Material
from smidgen.watch import Watch

__all__ = ["describe", "warn_of_chance"]


def describe(material: Material, weighted: bool, watch: Watch) -> None:
    """Say how many pictures there are, how networks will see them, and what may go wrong with them."""
    dataset, parts = material.dataset, material.split
    watch.heading(f"{dataset.name}: {len(dataset.pictures):,} pictures, {len(dataset.classes)} classes")
    colour = "grey" if material.channels == 1 else "colour"
    sizes = f"{len(parts.train):,} to train, {len(parts.val):,} to validate"
    watch.say(f"{sizes}, {len(parts.test):,} to test once at the end")
    watch.say(
        f"networks see {material.resolution}x{material.resolution} pixels, {colour}; --resolution changes it"
    )
    for line in _absent(material):
        watch.say(line)
    counts = class_counts(dataset, material.survey)
    if unbalanced := unbalanced_news(counts, weighted=weighted):
        watch.say(unbalanced)


def _absent(material: Material) -> Iterator[str]:
    """A line for each part that lacks a class which there is to train on."""
    dataset, parts = material.dataset, material.split
    for part, indices in (("val", parts.val), ("test", parts.test)):
        found = {dataset.pictures[index].label for index in indices}
        absent = [name for label, name in enumerate(dataset.classes) if label not in found]
        if absent:
            names = ", ".join(absent[:5]) + (f" and {len(absent) - 5:,} more" if len(absent) > 5 else "")
            yield f"no picture of {names} in {part}: its accuracy will not tell of {names}"


def warn_of_chance(last: EpochRow, material: Material, watch: Watch) -> None:
    """Say so where the network does no better than guessing, as far as the validation pictures tell."""
    counts = Counter(material.dataset.pictures[index].label for index in material.split.val)
    n, right = counts.total(), last.val_balanced_accuracy
    worth = report.Standing(
        accuracy=last.val_accuracy,
        balanced=right,
        interval=report.wilson(round(right * n), n),
        commonest=max(counts.values()) / n,
        present=len(counts),
        classes=len(material.dataset.classes),
    )
    if worth.at_chance:
        watch.say(f"no better than chance. {report.advice(material.resolution, material.preprocess.aspect)}")
    watch.say(f"validation {100 * last.val_accuracy:.1f} % after {counted(last.epoch, 'epoch')}")
